//! Asks a schema registry, by the REST interface that Confluent's has and others copy.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /schemas/ids/{id}` | `schema`, `schemaType`, `references` |
//! | `GET /subjects/{subject}/versions/{version}` | the same, of a schema that another refers to |
//! | `POST /subjects/{subject}/versions` | `id` of the schema, old or new |
//!
//! Calls block. Every one has an end: that of [`crate::http`], and [`MAX_ANSWER_BYTES`]. Nothing is tried again
//! here; who asks decides.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_core::{Error, ErrorKind};
use serde_json::{Value as Json, json};
use ureq::Agent;

use crate::avro::parser::parse_schema;
use crate::avro::registry_address::RegistryAddress;
use crate::avro::schema::AvroSchema;
use crate::http;
use crate::protobuf::ProtoSchema;

/// A schema of the greatest size, with what JSON adds to it in JSON.
const MAX_ANSWER_BYTES: u64 = 16 * 1024 * 1024;
/// Schemas that one may refer to, with those that these refer to.
const MAX_REFERENCES: usize = 100;
/// The codes with which a registry itself says that it has no such thing.
const NO_SUBJECT: u64 = 40401;
const NO_VERSION: u64 = 40402;
const NO_SCHEMA: u64 = 40403;
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// What a registry has under an id.
#[derive(Debug, Clone)]
pub(crate) enum WriterSchema {
    Avro(Arc<AvroSchema>),
    Protobuf(Arc<ProtoSchema>),
    /// A schema of another kind, or one that cannot be read.
    Other,
    /// Nothing.
    Unknown,
    /// It was not asked: it has not known many others.
    NotAsked,
}

/// What a schema is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SchemaKind {
    Avro,
    Protobuf,
}

/// A registry to ask.
#[derive(Debug, Clone)]
pub(crate) struct RegistryClient {
    address: RegistryAddress,
    agent: Agent,
    /// The object's kind and quoted name.
    owner: String,
    /// What to say that failed: a source or a sink.
    kind: ErrorKind,
}

struct Answer {
    status: u16,
    body: Json,
}

impl Answer {
    /// What a registry says besides the status. A page that is not there has none of its codes.
    fn code(&self) -> Option<u64> {
        self.body.get("error_code").and_then(Json::as_u64)
    }
}

impl RegistryClient {
    /// A client; `kind` is the kind of its errors that may pass.
    pub(crate) fn new(address: RegistryAddress, owner: &str, kind: ErrorKind) -> Self {
        RegistryClient {
            agent: http::agent(address.tls()),
            address,
            owner: owner.to_string(),
            kind,
        }
    }

    /// The schema under an id.
    ///
    /// # Errors
    /// If the registry does not answer, or refuses to.
    pub(crate) fn schema(&self, id: u32) -> Result<WriterSchema, Error> {
        let answer = self.get(&format!("/schemas/ids/{id}"))?;
        match answer.status {
            200 => {}
            404 if answer.code() == Some(NO_SCHEMA) => return Ok(WriterSchema::Unknown),
            _ => return Err(self.refused(&format!("schema {id}"), &answer)),
        }
        let Some((kind, text)) = schema_text(&answer.body) else {
            return Ok(WriterSchema::Other);
        };
        let mut references = Vec::new();
        if !self.collect(&answer.body, &mut BTreeSet::new(), &mut references)? {
            return Ok(WriterSchema::Other);
        }
        let schema = match kind {
            SchemaKind::Avro => {
                let texts = references.into_iter().map(|(_, text)| text);
                let schema = parse_schema(text, &texts.collect::<Vec<String>>());
                schema.map(|schema| WriterSchema::Avro(Arc::new(schema)))
            }
            SchemaKind::Protobuf => {
                let schema = ProtoSchema::from_registry(text, references);
                schema.map(|schema| WriterSchema::Protobuf(Arc::new(schema)))
            }
        };
        Ok(schema.unwrap_or_else(|flaw| {
            tracing::warn!(id, owner = %self.owner, detail = %flaw.0, "a schema cannot be read");
            WriterSchema::Other
        }))
    }

    /// Collects the texts that a schema refers to with the names that it has for them, those first
    /// that others refer to; `false` if one is missing.
    fn collect(
        &self,
        body: &Json,
        seen: &mut BTreeSet<(String, i64)>,
        texts: &mut Vec<(String, String)>,
    ) -> Result<bool, Error> {
        let references = body.get("references").and_then(Json::as_array);
        for reference in references.into_iter().flatten() {
            let subject = reference.get("subject").and_then(Json::as_str);
            let version = reference.get("version").and_then(Json::as_i64);
            let (Some(subject), Some(version)) = (subject, version) else {
                return Ok(false);
            };
            if !seen.insert((subject.to_string(), version)) {
                continue;
            }
            if seen.len() > MAX_REFERENCES {
                return Ok(false);
            }
            let path = format!("/subjects/{}/versions/{version}", in_path(subject));
            let answer = self.get(&path)?;
            match answer.status {
                200 => {}
                404 if matches!(answer.code(), Some(NO_SUBJECT | NO_VERSION)) => return Ok(false),
                _ => return Err(self.refused(&format!("subject \"{subject}\""), &answer)),
            }
            if !self.collect(&answer.body, seen, texts)? {
                return Ok(false);
            }
            let name = reference.get("name").and_then(Json::as_str);
            match schema_text(&answer.body) {
                Some((_, text)) => {
                    texts.push((name.unwrap_or_default().to_string(), text.to_string()));
                }
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Registers a schema under a subject, and gives its id.
    ///
    /// # Errors
    /// If the registry does not answer, or refuses the schema.
    pub(crate) fn register(
        &self,
        subject: &str,
        kind: SchemaKind,
        schema: &str,
    ) -> Result<u32, Error> {
        let path = format!("/subjects/{}/versions", in_path(subject));
        let request = self.agent.post(self.url(&path)).content_type(CONTENT_TYPE);
        let request = request.header("Accept", CONTENT_TYPE);
        let request = match self.address.authorization() {
            Some(login) => request.header("Authorization", login),
            None => request,
        };
        // A registry from before there were kinds knows no `schemaType`.
        let body = match kind {
            SchemaKind::Avro => json!({ "schema": schema }),
            SchemaKind::Protobuf => json!({ "schema": schema, "schemaType": "PROTOBUF" }),
        };
        let body = body.to_string();
        let answer = request
            .send(body)
            .map_err(|error| self.unreachable(error))?;
        let answer = self.answer(answer)?;
        if answer.status != 200 {
            return Err(self.refused(&format!("a schema for subject \"{subject}\""), &answer));
        }
        let id = answer.body.get("id").and_then(Json::as_u64);
        id.and_then(|id| u32::try_from(id).ok())
            .ok_or_else(|| self.refused(&format!("a schema for subject \"{subject}\""), &answer))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address.url())
    }

    fn get(&self, path: &str) -> Result<Answer, Error> {
        let request = self
            .agent
            .get(self.url(path))
            .header("Accept", CONTENT_TYPE);
        let request = match self.address.authorization() {
            Some(login) => request.header("Authorization", login),
            None => request,
        };
        let answer = request.call().map_err(|error| self.unreachable(error))?;
        self.answer(answer)
    }

    fn answer(&self, mut answer: ureq::http::Response<ureq::Body>) -> Result<Answer, Error> {
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        let text = body
            .read_to_string()
            .map_err(|error| self.unreachable(error))?;
        Ok(Answer {
            status,
            // A proxy in between may answer with a page.
            body: serde_json::from_str(&text).unwrap_or(Json::Null),
        })
    }

    fn unreachable(&self, error: ureq::Error) -> Error {
        Error::new(
            self.kind,
            format!(
                "could not reach schema registry \"{}\" of {}",
                self.address.url(),
                self.owner
            ),
        )
        .with_source(error)
    }

    /// What a status means for the one who asked.
    fn refused(&self, what: &str, answer: &Answer) -> Error {
        let status = answer.status;
        let (kind, hint) = match status {
            401 | 403 => (
                ErrorKind::Configuration,
                "Set \"schema.registry.user\" and \"schema.registry.password\".",
            ),
            409 => (
                ErrorKind::Configuration,
                "The registry takes schemas only that fit those before: change the columns, the \
                 subject, or its compatibility.",
            ),
            404 | 422 => (
                ErrorKind::Configuration,
                "Look at the schema and at the URL of the registry.",
            ),
            _ => (self.kind, "Look at the log of the registry."),
        };
        let error = Error::new(
            kind,
            format!(
                "schema registry \"{}\" of {} refused {what} with status {status}",
                self.address.url(),
                self.owner
            ),
        )
        .with_hint(hint);
        match answer.body.get("message").and_then(Json::as_str) {
            Some(message) => {
                error.with_detail(headwater_core::excerpt::excerpt(message.as_bytes()))
            }
            None => error,
        }
    }
}

/// The text of a schema of a kind that is read; a registry leaves the kind out for Avro.
fn schema_text(body: &Json) -> Option<(SchemaKind, &str)> {
    let kind = match body.get("schemaType").and_then(Json::as_str) {
        None | Some("AVRO") => SchemaKind::Avro,
        Some("PROTOBUF") => SchemaKind::Protobuf,
        Some(_) => return None,
    };
    Some((kind, body.get("schema").and_then(Json::as_str)?))
}

/// A name as a piece of a path.
fn in_path(name: &str) -> String {
    use std::fmt::Write as _;
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}
