//! Certificates for tests: an authority of one's own, and what it issues, also what is no good.

use std::net::Ipv4Addr;

use headwater_core::{Error, Result};
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};

/// Who signs certificates, and whom clients or servers may trust.
#[derive(Debug, Clone)]
pub struct Authority {
    pub(crate) certificate: X509,
    key: PKey<Private>,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Issued {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

/// When a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Now.
    Now,
    /// Until the day before yesterday.
    Over,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    ///
    /// # Errors
    /// If OpenSSL refuses.
    pub fn new() -> Result<Authority> {
        Self::make().map_err(refused)
    }

    fn make() -> std::result::Result<Authority, ErrorStack> {
        let key = new_key()?;
        let name = named("headwater tests")?;
        let mut builder = unsigned(&name, &key, Lifetime::Now)?;
        builder.set_issuer_name(&name)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Authority {
            certificate: builder.build(),
            key,
        })
    }

    /// A certificate for a server at `host`, a name or an address of this machine, and for a
    /// client of that name.
    ///
    /// # Errors
    /// If OpenSSL refuses.
    pub fn issue(&self, host: &str, lifetime: Lifetime) -> Result<Issued> {
        self.make_for(host, lifetime).map_err(refused)
    }

    fn make_for(&self, host: &str, lifetime: Lifetime) -> std::result::Result<Issued, ErrorStack> {
        let key = new_key()?;
        let mut builder = unsigned(&named(host)?, &key, lifetime)?;
        builder.set_issuer_name(self.certificate.subject_name())?;
        let mut names = SubjectAlternativeName::new();
        match host.parse::<Ipv4Addr>() {
            Ok(_) => names.ip(host),
            Err(_) => names.dns(host),
        };
        let names = names.build(&builder.x509v3_context(Some(&self.certificate), None))?;
        builder.append_extension(names)?;
        let usage = ExtendedKeyUsage::new()
            .server_auth()
            .client_auth()
            .build()?;
        builder.append_extension(usage)?;
        builder.sign(&self.key, MessageDigest::sha256())?;
        Ok(Issued {
            certificate: builder.build(),
            key,
        })
    }

    /// The certificate to trust, as PEM.
    ///
    /// # Errors
    /// If OpenSSL refuses.
    pub fn pem(&self) -> Result<String> {
        text(self.certificate.to_pem())
    }
}

impl Issued {
    /// The certificate as PEM.
    ///
    /// # Errors
    /// If OpenSSL refuses.
    pub fn certificate_pem(&self) -> Result<String> {
        text(self.certificate.to_pem())
    }

    /// The key as PEM, in PKCS#8.
    ///
    /// # Errors
    /// If OpenSSL refuses.
    pub fn key_pem(&self) -> Result<String> {
        text(self.key.private_key_to_pem_pkcs8())
    }
}

fn new_key() -> std::result::Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

fn named(name: &str) -> std::result::Result<X509Name, ErrorStack> {
    let mut builder = X509Name::builder()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, name)?;
    Ok(builder.build())
}

fn unsigned(
    subject: &X509Name,
    key: &PKey<Private>,
    lifetime: Lifetime,
) -> std::result::Result<X509Builder, ErrorStack> {
    const DAY_S: i64 = 86_400;
    // Both ends are far from now, so that no clock decides a test.
    let (from, until) = match lifetime {
        Lifetime::Now => (Asn1Time::from_unix(0)?, Asn1Time::days_from_now(3_650)?),
        Lifetime::Over => (Asn1Time::from_unix(0)?, Asn1Time::from_unix(DAY_S)?),
    };
    let mut serial = BigNum::new()?;
    serial.rand(128, MsbOption::MAYBE_ZERO, false)?;
    let serial = serial.to_asn1_integer()?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    Ok(builder)
}

fn text(pem: std::result::Result<Vec<u8>, ErrorStack>) -> Result<String> {
    let pem = pem.map_err(refused)?;
    String::from_utf8(pem).map_err(|e| Error::internal("PEM is text").with_source(e))
}

fn refused(error: ErrorStack) -> Error {
    Error::internal("OpenSSL made no certificate").with_source(error)
}
