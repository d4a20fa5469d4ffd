//! The broker's side of a SASL login, before a broker that has none.
//!
//! ```text
//! ApiVersions ─▶ broker     SaslHandshake ─▶ mechanisms     SaslAuthenticate ─▶ yes, no, or more
//! ```
//! Source: the Kafka protocol guide (`SaslHandshake` v1, `SaslAuthenticate` v0–1), RFC 4616 (PLAIN),
//! RFC 5802 (SCRAM), RFC 7628 (OAUTHBEARER).

use std::io::{self, ErrorKind};

use openssl::base64::{decode_block, encode_block};
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::memcmp;
use openssl::pkcs5::pbkdf2_hmac;
use openssl::pkey::PKey;
use openssl::rand::rand_bytes;
use openssl::sign::Signer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::frame::{self, RequestHead};
use super::guard::Login;

const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const SASL_AUTHENTICATE: i16 = 36;
const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
const SASL_AUTHENTICATION_FAILED: i16 = 58;
const ITERATIONS: usize = 4096;

/// How far a login is.
enum Stage {
    Begun,
    Chosen(Mechanism),
    Challenged(Challenge),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Plain,
    Scram(Digest),
    Bearer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Digest {
    Sha256,
    Sha512,
}

/// What SCRAM has said so far.
struct Challenge {
    digest: Digest,
    client_first: String,
    server_first: String,
    salt: [u8; 16],
    nonce: String,
}

/// What a client is told.
enum Reply {
    Welcome(Vec<u8>),
    More(Vec<u8>, Challenge),
}

/// Passes nothing on until the client is logged in.
///
/// # Errors
/// If it is not: it was told, and the connection is to end.
pub(super) async fn log_in(
    login: &Login,
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    broker: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut stage = Stage::Begun;
    loop {
        let request = frame::read_frame(client).await?;
        let head = frame::request_head(&request).ok_or(ErrorKind::InvalidData)?;
        match head.api_key {
            API_VERSIONS => {
                broker.write_all(&frame::with_length(&request)?).await?;
                let answer = frame::read_frame(broker).await?;
                client.write_all(&frame::with_length(&answer)?).await?;
            }
            SASL_HANDSHAKE => {
                let name = text(body(&request)?)?;
                let chosen = login.mechanism(&name);
                answer(client, head, &handshake(login, chosen.is_some())).await?;
                stage = Stage::Chosen(chosen.ok_or(ErrorKind::PermissionDenied)?);
            }
            SASL_AUTHENTICATE => {
                let token = bytes(body(&request)?)?;
                match next(login, stage, token) {
                    Some(Reply::Welcome(bytes)) => {
                        return answer(client, head, &authenticated(head, 0, &bytes)).await;
                    }
                    Some(Reply::More(bytes, challenge)) => {
                        answer(client, head, &authenticated(head, 0, &bytes)).await?;
                        stage = Stage::Challenged(challenge);
                    }
                    None => {
                        let refusal = authenticated(head, SASL_AUTHENTICATION_FAILED, &[]);
                        answer(client, head, &refusal).await?;
                        return Err(ErrorKind::PermissionDenied.into());
                    }
                }
            }
            _ => return Err(ErrorKind::PermissionDenied.into()),
        }
        client.flush().await?;
    }
}

impl Login {
    fn names(&self) -> &'static [&'static str] {
        match self {
            Login::Password { .. } => &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
            Login::Token(_) => &["OAUTHBEARER"],
        }
    }

    fn mechanism(&self, name: &str) -> Option<Mechanism> {
        match name {
            name if !self.names().contains(&name) => None,
            "PLAIN" => Some(Mechanism::Plain),
            "SCRAM-SHA-256" => Some(Mechanism::Scram(Digest::Sha256)),
            "SCRAM-SHA-512" => Some(Mechanism::Scram(Digest::Sha512)),
            _ => Some(Mechanism::Bearer),
        }
    }
}

/// The answer to what a client shows; nothing if it may not come in.
fn next(login: &Login, stage: Stage, shown: &[u8]) -> Option<Reply> {
    let shown = std::str::from_utf8(shown).ok()?;
    match (stage, login) {
        (Stage::Chosen(Mechanism::Plain), Login::Password { user, password }) => {
            let expected = format!("\0{user}\0{password}");
            (shown == expected).then(|| Reply::Welcome(Vec::new()))
        }
        (Stage::Chosen(Mechanism::Bearer), Login::Token(token)) => {
            let expected = format!("auth=Bearer {token}");
            let mut parts = shown.split('\u{1}');
            parts
                .any(|part| part == expected)
                .then(|| Reply::Welcome(Vec::new()))
        }
        (Stage::Chosen(Mechanism::Scram(digest)), Login::Password { user, .. }) => {
            challenge(digest, user, shown)
        }
        (Stage::Challenged(challenge), Login::Password { password, .. }) => {
            let proven = challenge.check(password, shown).ok()??;
            Some(Reply::Welcome(proven.into_bytes()))
        }
        _ => None,
    }
}

/// An attribute of a message of SCRAM, as `n` of `n=me,r=abc`.
fn attribute<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = message.split(',');
    parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

fn challenge(digest: Digest, user: &str, client_first: &str) -> Option<Reply> {
    let bare = client_first.splitn(3, ',').nth(2)?;
    if attribute(bare, "n")? != user {
        return None;
    }
    let (mut salt, mut own) = ([0; 16], [0; 12]);
    rand_bytes(&mut salt).ok()?;
    rand_bytes(&mut own).ok()?;
    let nonce = format!("{}{}", attribute(bare, "r")?, encode_block(&own));
    let server_first = format!("r={nonce},s={},i={ITERATIONS}", encode_block(&salt));
    Some(Reply::More(
        server_first.clone().into_bytes(),
        Challenge {
            digest,
            client_first: bare.to_string(),
            server_first,
            salt,
            nonce,
        },
    ))
}

impl Challenge {
    /// The server's own proof, if the client's is right.
    fn check(&self, password: &str, client_final: &str) -> Result<Option<String>, ErrorStack> {
        let part = |name| attribute(client_final, name);
        let (Some(binding), Some(nonce), Some(proof)) = (part("c"), part("r"), part("p")) else {
            return Ok(None);
        };
        if nonce != self.nonce {
            return Ok(None);
        }
        let digest = self.digest.of_openssl();
        let mut salted = vec![0; digest.size()];
        pbkdf2_hmac(
            password.as_bytes(),
            &self.salt,
            ITERATIONS,
            digest,
            &mut salted,
        )?;
        let client_key = hmac(digest, &salted, b"Client Key")?;
        let said = format!(
            "{},{},c={binding},r={nonce}",
            self.client_first, self.server_first
        );
        let stored = hash(digest, &client_key)?;
        let signature = hmac(digest, &stored, said.as_bytes())?;
        let expected: Vec<u8> = std::iter::zip(&client_key, &signature)
            .map(|(a, b)| a ^ b)
            .collect();
        let proof = decode_block(proof)?;
        if proof.len() != expected.len() || !memcmp::eq(&proof, &expected) {
            return Ok(None);
        }
        let server_key = hmac(digest, &salted, b"Server Key")?;
        let proven = hmac(digest, &server_key, said.as_bytes())?;
        Ok(Some(format!("v={}", encode_block(&proven))))
    }
}

impl Digest {
    fn of_openssl(self) -> MessageDigest {
        match self {
            Digest::Sha256 => MessageDigest::sha256(),
            Digest::Sha512 => MessageDigest::sha512(),
        }
    }
}

fn hmac(digest: MessageDigest, key: &[u8], message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let key = PKey::hmac(key)?;
    let mut signer = Signer::new(digest, &key)?;
    signer.update(message)?;
    signer.sign_to_vec()
}

async fn answer(
    client: &mut (impl AsyncWrite + Unpin),
    head: RequestHead,
    body: &[u8],
) -> io::Result<()> {
    let mut whole = head.correlation.to_be_bytes().to_vec();
    whole.extend_from_slice(body);
    client.write_all(&frame::with_length(&whole)?).await?;
    client.flush().await
}

/// error code, mechanisms
fn handshake(login: &Login, is_known: bool) -> Vec<u8> {
    let code = if is_known {
        0
    } else {
        UNSUPPORTED_SASL_MECHANISM
    };
    let names = login.names();
    let mut body = code.to_be_bytes().to_vec();
    body.extend_from_slice(&i32::try_from(names.len()).unwrap_or_default().to_be_bytes());
    for name in names {
        put_text(&mut body, name);
    }
    body
}

/// error code, error message, bytes, and from version 1 on the session's lifetime in ms
fn authenticated(head: RequestHead, code: i16, bytes: &[u8]) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    match code {
        0 => body.extend_from_slice(&(-1_i16).to_be_bytes()),
        _ => put_text(&mut body, "Authentication failed"),
    }
    body.extend_from_slice(&i32::try_from(bytes.len()).unwrap_or_default().to_be_bytes());
    body.extend_from_slice(bytes);
    if head.version >= 1 {
        body.extend_from_slice(&0_i64.to_be_bytes());
    }
    body
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&i16::try_from(text.len()).unwrap_or_default().to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

/// What follows the head and the client's id.
fn body(request: &[u8]) -> io::Result<&[u8]> {
    let rest = request.get(8..).ok_or(ErrorKind::InvalidData)?;
    let (length, rest) = rest.split_first_chunk().ok_or(ErrorKind::InvalidData)?;
    let length = usize::try_from(i16::from_be_bytes(*length)).unwrap_or(0);
    rest.get(length..)
        .ok_or_else(|| ErrorKind::InvalidData.into())
}

fn text(body: &[u8]) -> io::Result<String> {
    let (length, rest) = body.split_first_chunk().ok_or(ErrorKind::InvalidData)?;
    let length = usize::try_from(i16::from_be_bytes(*length)).unwrap_or(0);
    let text = rest.get(..length).ok_or(ErrorKind::InvalidData)?;
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn bytes(body: &[u8]) -> io::Result<&[u8]> {
    let (length, rest) = body.split_first_chunk().ok_or(ErrorKind::InvalidData)?;
    let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
    rest.get(..length)
        .ok_or_else(|| ErrorKind::InvalidData.into())
}
