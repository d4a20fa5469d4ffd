//! The addresses of brokers in answers, replaced so that clients come back to the proxy.
//!
//! ```text
//! Metadata          [throttle 3+] brokers of (node, host, port, rack 1+)           then topics
//! FindCoordinator   [throttle 1+] error [message 1+] node host port                up to 3
//!                   throttle, coordinators of (key, node, host, port, …)           from 4 on
//! DescribeCluster   throttle error message [endpoint 1+] cluster controller brokers of (…)
//! ```
//! From a version on, which differs by request, a layout is flexible: lengths are varints that
//! count from one, and every structure ends with tagged fields.
//!
//! A client must not use a layout that is not known here: the versions that the broker offers are
//! lowered in its answer to `ApiVersions`. That also leaves out the versions of Produce and Fetch
//! whose answers name the address of a new leader.

use std::net::Ipv4Addr;

use super::frame::RequestHead;

const METADATA: i16 = 3;
const FIND_COORDINATOR: i16 = 10;
const API_VERSIONS: i16 = 18;
const DESCRIBE_CLUSTER: i16 = 60;

/// The newest versions whose layout is known here, or whose answers name no address.
const VERSION_MAX: [(i16, i16); 5] = [
    (0, 9),
    (1, 15),
    (METADATA, 12),
    (FIND_COORDINATOR, 4),
    (DESCRIBE_CLUSTER, 1),
];

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Place {
    /// Reads `host:port`.
    pub(super) fn parse(text: &str) -> Option<Place> {
        let (host, port) = text.trim().rsplit_once(':')?;
        Some(Place {
            host: host.to_string(),
            port: port.parse().ok()?,
        })
    }
}

/// The answer with every address replaced; `None` if it is laid out otherwise than known.
///
/// `port_of` gives the proxy's port of a broker.
pub(super) fn rewrite(
    request: RequestHead,
    answer: &[u8],
    port_of: &mut dyn FnMut(Place) -> Option<u16>,
) -> Option<Vec<u8>> {
    let mut copy = Copy {
        answer,
        at: 0,
        out: Vec::with_capacity(answer.len() + 64),
        is_flexible: is_flexible(request),
        port_of,
    };
    copy.bytes(4)?;
    // The answer to ApiVersions has a plain head: the client must read it before it knows.
    if copy.is_flexible && request.api_key != API_VERSIONS {
        copy.tagged_fields()?;
    }
    match request.api_key {
        METADATA => copy.metadata(request.version)?,
        FIND_COORDINATOR => copy.coordinator(request.version)?,
        API_VERSIONS => copy.versions()?,
        DESCRIBE_CLUSTER => copy.cluster(request.version)?,
        _ => {}
    }
    Some(copy.finish())
}

/// Whether an answer names addresses, or versions that must be lowered.
pub(super) fn concerns(request: RequestHead) -> bool {
    matches!(
        request.api_key,
        METADATA | FIND_COORDINATOR | API_VERSIONS | DESCRIBE_CLUSTER
    )
}

fn is_flexible(request: RequestHead) -> bool {
    match request.api_key {
        METADATA => request.version >= 9,
        FIND_COORDINATOR | API_VERSIONS => request.version >= 3,
        _ => true,
    }
}

/// Copies an answer piece by piece. Every step is `None` if the answer ends too early.
struct Copy<'a> {
    answer: &'a [u8],
    at: usize,
    out: Vec<u8>,
    is_flexible: bool,
    port_of: &'a mut dyn FnMut(Place) -> Option<u16>,
}

impl<'a> Copy<'a> {
    fn metadata(&mut self, version: i16) -> Option<()> {
        if version >= 3 {
            self.bytes(4)?;
        }
        for _ in 0..self.array()? {
            self.address()?;
            if version >= 1 {
                self.string()?;
            }
            self.end_of_structure()?;
        }
        Some(())
    }

    fn coordinator(&mut self, version: i16) -> Option<()> {
        if version >= 4 {
            self.bytes(4)?;
            for _ in 0..self.array()? {
                self.string()?;
                self.address()?;
                self.bytes(2)?;
                self.string()?;
                self.end_of_structure()?;
            }
            return Some(());
        }
        if version >= 1 {
            self.bytes(4)?;
        }
        self.bytes(2)?;
        if version >= 1 {
            self.string()?;
        }
        self.address()
    }

    fn cluster(&mut self, version: i16) -> Option<()> {
        self.bytes(6)?;
        self.string()?;
        if version >= 1 {
            self.bytes(1)?;
        }
        self.string()?;
        self.bytes(4)?;
        for _ in 0..self.array()? {
            self.address()?;
            self.string()?;
            self.end_of_structure()?;
        }
        Some(())
    }

    fn versions(&mut self) -> Option<()> {
        self.bytes(2)?;
        for _ in 0..self.array()? {
            let api_key = i16::from_be_bytes(self.bytes(2)?.try_into().ok()?);
            self.bytes(2)?;
            let offered = i16::from_be_bytes(self.take(2)?.try_into().ok()?);
            let known = VERSION_MAX.iter().find(|(key, _)| *key == api_key);
            let newest = known.map_or(offered, |(_, newest)| offered.min(*newest));
            self.out.extend_from_slice(&newest.to_be_bytes());
            self.end_of_structure()?;
        }
        Some(())
    }

    /// A node's number, host and port. A coordinator that is not known has no host.
    fn address(&mut self) -> Option<()> {
        self.bytes(4)?;
        let host = self.take_string()?.unwrap_or_default();
        let host = std::str::from_utf8(host).ok()?;
        let port = i32::from_be_bytes(self.take(4)?.try_into().ok()?);
        let place = u16::try_from(port).ok().map(|port| Place {
            host: host.to_string(),
            port,
        });
        match place.filter(|place| !place.host.is_empty()) {
            None => {
                self.write_string(host)?;
                self.out.extend_from_slice(&port.to_be_bytes());
            }
            Some(place) => {
                let own = (self.port_of)(place)?;
                self.write_string(&Ipv4Addr::LOCALHOST.to_string())?;
                self.out.extend_from_slice(&i32::from(own).to_be_bytes());
            }
        }
        Some(())
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.answer.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.take(count)?;
        self.out.extend_from_slice(taken);
        Some(taken)
    }

    fn take_varint(&mut self) -> Option<usize> {
        let mut value = 0_usize;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn write_varint(&mut self, mut value: usize) {
        while value > 0x7f {
            self.out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn varint(&mut self) -> Option<usize> {
        let value = self.take_varint()?;
        self.write_varint(value);
        Some(value)
    }

    /// The number of elements that follow.
    fn array(&mut self) -> Option<usize> {
        if self.is_flexible {
            return Some(self.varint()?.saturating_sub(1));
        }
        let count = i32::from_be_bytes(self.bytes(4)?.try_into().ok()?);
        Some(usize::try_from(count).unwrap_or(0))
    }

    fn take_string(&mut self) -> Option<Option<&'a [u8]>> {
        let length = if self.is_flexible {
            self.take_varint()?.checked_sub(1)
        } else {
            let length = i16::from_be_bytes(self.take(2)?.try_into().ok()?);
            usize::try_from(length).ok()
        };
        match length {
            None => Some(None),
            Some(length) => self.take(length).map(Some),
        }
    }

    fn write_string(&mut self, text: &str) -> Option<()> {
        if self.is_flexible {
            self.write_varint(text.len() + 1);
        } else {
            let length = i16::try_from(text.len()).ok()?;
            self.out.extend_from_slice(&length.to_be_bytes());
        }
        self.out.extend_from_slice(text.as_bytes());
        Some(())
    }

    /// A string that stays as it is, also if it is null.
    fn string(&mut self) -> Option<()> {
        let from = self.at;
        self.take_string()?;
        self.out.extend_from_slice(&self.answer[from..self.at]);
        Some(())
    }

    fn end_of_structure(&mut self) -> Option<()> {
        if self.is_flexible {
            self.tagged_fields()?;
        }
        Some(())
    }

    fn tagged_fields(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()?;
            self.bytes(length)?;
        }
        Some(())
    }

    /// What follows is copied as it is.
    fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(&self.answer[self.at..]);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER_TO: i32 = 7;

    fn head(api_key: i16, version: i16) -> RequestHead {
        RequestHead {
            api_key,
            version,
            correlation: ANSWER_TO,
        }
    }

    /// Pieces of an answer, written by hand as the protocol's description says.
    #[derive(Default)]
    struct Bytes(Vec<u8>);

    impl Bytes {
        fn answer() -> Self {
            Bytes::default().i32(ANSWER_TO)
        }
        fn raw(mut self, bytes: &[u8]) -> Self {
            self.0.extend_from_slice(bytes);
            self
        }
        fn i16(self, value: i16) -> Self {
            self.raw(&value.to_be_bytes())
        }
        fn i32(self, value: i32) -> Self {
            self.raw(&value.to_be_bytes())
        }
        fn text(self, text: &str) -> Self {
            let length = i16::try_from(text.len()).unwrap();
            self.i16(length).raw(text.as_bytes())
        }
        fn compact(self, text: &str) -> Self {
            let length = u8::try_from(text.len() + 1).unwrap();
            self.raw(&[length]).raw(text.as_bytes())
        }
    }

    /// Checks what becomes of an answer if the brokers get the ports 1, 2 and so on.
    fn check(request: RequestHead, answer: &Bytes, expected: &Bytes) {
        let mut named: Vec<Place> = Vec::new();
        let mut port_of = |place: Place| {
            named.push(place);
            u16::try_from(named.len()).ok()
        };
        let rewritten = rewrite(request, &answer.0, &mut port_of).unwrap();
        assert_eq!(rewritten, expected.0, "{request:?}");
        // An answer that is cut anywhere before its addresses is told, not passed on in part.
        for length in 0..4 {
            assert!(rewrite(request, &answer.0[..length], &mut |_| Some(1)).is_none());
        }
    }

    #[test]
    fn brokers_of_plain_metadata_are_replaced() {
        let of = |first: (&str, i32), second: (&str, i32)| {
            Bytes::answer()
                .i32(0)
                .i32(2)
                .i32(1)
                .text(first.0)
                .i32(first.1)
                .i16(-1)
                .i32(2)
                .text(second.0)
                .i32(second.1)
                .text("rack")
                .raw(b"topics")
        };
        check(
            head(METADATA, 5),
            &of(("a.example", 9092), ("::1", 19092)),
            &of(("127.0.0.1", 1), ("127.0.0.1", 2)),
        );
        let oldest = |host: &str, port: i32| {
            Bytes::answer()
                .i32(1)
                .i32(1)
                .text(host)
                .i32(port)
                .raw(b"topics")
        };
        check(
            head(METADATA, 0),
            &oldest("localhost", 9092),
            &oldest("127.0.0.1", 1),
        );
    }

    #[test]
    fn brokers_of_flexible_metadata_are_replaced_and_tags_kept() {
        let of = |host: &str, port: i32| {
            Bytes::answer()
                .raw(&[1, 9, 2, 0xaa, 0xbb])
                .i32(0)
                .raw(&[2])
                .i32(1)
                .compact(host)
                .i32(port)
                .raw(&[0, 0])
                .raw(b"topics")
        };
        check(
            head(METADATA, 9),
            &of("localhost", 9092),
            &of("127.0.0.1", 1),
        );
    }

    #[test]
    fn coordinators_are_replaced_in_every_layout() {
        let oldest = |host: &str, port: i32| Bytes::answer().i16(0).i32(1).text(host).i32(port);
        check(
            head(FIND_COORDINATOR, 0),
            &oldest("h", 9092),
            &oldest("127.0.0.1", 1),
        );
        let plain = |host: &str, port: i32| {
            Bytes::answer()
                .i32(0)
                .i16(0)
                .i16(-1)
                .i32(1)
                .text(host)
                .i32(port)
        };
        check(
            head(FIND_COORDINATOR, 2),
            &plain("h", 9092),
            &plain("127.0.0.1", 1),
        );
        let unknown = plain("", -1);
        check(head(FIND_COORDINATOR, 2), &unknown, &plain("", -1));
        let many = |host: &str, port: i32| {
            Bytes::answer()
                .raw(&[0])
                .i32(0)
                .raw(&[2])
                .compact("key")
                .i32(1)
                .compact(host)
                .i32(port)
                .i16(0)
                .raw(&[0, 0, 0])
        };
        check(
            head(FIND_COORDINATOR, 4),
            &many("h", 9092),
            &many("127.0.0.1", 1),
        );
    }

    #[test]
    fn versions_that_are_not_known_are_not_offered() {
        let plain = |fetch: i16| {
            Bytes::answer()
                .i16(0)
                .i32(2)
                .i16(1)
                .i16(4)
                .i16(fetch)
                .i16(19)
                .i16(0)
                .i16(99)
        };
        check(head(API_VERSIONS, 0), &plain(17), &plain(15));
        check(head(API_VERSIONS, 0), &plain(11), &plain(11));
        let flexible = |metadata: i16| {
            Bytes::answer()
                .i16(0)
                .raw(&[2])
                .i16(METADATA)
                .i16(0)
                .i16(metadata)
                .raw(&[0])
                .i32(0)
                .raw(&[0])
        };
        check(head(API_VERSIONS, 3), &flexible(13), &flexible(12));
    }
}
