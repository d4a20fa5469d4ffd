//! A schema registry in this process, for tests and for trying things out.
//!
//! It speaks the part of the REST interface that headwater uses and that the serializers of other
//! clients use, and forgets everything when it is dropped. It is here and not among the tests because tests of other crates need it too, and this
//! crate is what they have in common.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /schemas/ids/{id}` | the schema, or 404 with `error_code` 40403 |
//! | `POST /subjects/{subject}/versions` | its id; the same text has the same id |
//! | `GET /subjects/{subject}/versions/{version}` | by number or `latest`, or 404 with 40401 or 40402 |
//! | `POST /subjects/{subject}` | what is registered of this schema, or 404 with 40401 or 40403 |
//! | `GET /config`, `GET /config/{subject}` | no compatibility is looked at |
//!
//! Of what stands after a `?` only `format=serialized` counts, with which clients in Python and C#
//! ask for Protobuf: see [`descriptors`].

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use headwater_core::{Error, Result};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

mod descriptors;

/// How long one who asks may take to say what.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest head and longest body of a request.
const MAX_REQUEST_BYTES: u64 = 16 * 1024 * 1024;

/// A registry that listens on a port of this machine until it is dropped.
#[derive(Debug)]
pub struct DevRegistry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// Bodies of what is registered; the id is the place and one.
    schemas: Vec<Json>,
    /// Ids by subject, in the order of versions.
    subjects: BTreeMap<String, Vec<usize>>,
    /// What the header `Authorization` must be.
    login: Option<String>,
    /// What every request is answered with, if not as it should be.
    failing_with: Option<u16>,
    requests: Vec<String>,
    is_stopping: bool,
}

struct Request {
    method: String,
    path: String,
    query: String,
    authorization: Option<String>,
    body: String,
}

impl DevRegistry {
    /// Starts to listen.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start() -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::resource("could not start the development schema registry").with_source(error)
        };
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = std::thread::Builder::new()
            .name("dev-registry".to_string())
            .spawn(move || serve(&listener, &shared))
            .map_err(failed)?;
        Ok(DevRegistry {
            address,
            state,
            server: Some(server),
        })
    }

    /// What `schema.registry` is to be.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Registers a schema as a producer would, and gives its id.
    pub fn register(&self, subject: &str, schema: &str) -> u32 {
        self.register_body(subject, json!({ "schema": schema }))
    }

    /// Registers a body with `schema` and whatever is to be beside it, such as `schemaType` and
    /// `references`.
    pub fn register_body(&self, subject: &str, body: Json) -> u32 {
        let id = self.state.lock().register(subject, body);
        u32::try_from(id).unwrap_or(u32::MAX)
    }

    /// The text of the newest schema of a subject.
    pub fn latest(&self, subject: &str) -> Option<String> {
        let state = self.state.lock();
        let id = state.subjects.get(subject)?.last()?;
        let schema = state.schemas.get(id - 1)?.get("schema")?;
        schema.as_str().map(ToString::to_string)
    }

    /// From now on nobody is answered without this login.
    pub fn require_login(&self, user: &str, password: &str) {
        let login = BASE64_STANDARD.encode(format!("{user}:{password}"));
        self.state.lock().login = Some(format!("Basic {login}"));
    }

    /// From now on every request is answered with this status; `None` ends that.
    pub fn fail_with(&self, status: Option<u16>) {
        self.state.lock().failing_with = status;
    }

    /// The requests so far: `GET /schemas/ids/1`.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().requests.clone()
    }
}

impl Drop for DevRegistry {
    fn drop(&mut self) {
        self.state.lock().is_stopping = true;
        // Wakes the server, which looks at the line above.
        drop(TcpStream::connect(self.address));
        if let Some(server) = self.server.take() {
            // A server that panicked has said so.
            let _ = server.join();
        }
    }
}

/// Answers one after the other: who asks a registry asks seldom.
fn serve(listener: &TcpListener, state: &Mutex<State>) {
    for stream in listener.incoming() {
        if state.lock().is_stopping {
            return;
        }
        // Who breaks off has no answer to wait for.
        let _ = stream.and_then(|stream| answer(stream, state));
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(request) = read_request(&stream)? else {
        return Ok(());
    };
    let (status, body) = state.lock().answer(&request);
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 {status} -\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()
}

/// Reads a request with its body; `None` if it is none.
fn read_request(stream: &TcpStream) -> std::io::Result<Option<Request>> {
    let mut reader = BufReader::new(stream).take(MAX_REQUEST_BYTES);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut request = Request {
        method: method.to_string(),
        path: path.to_string(),
        query: query.to_string(),
        authorization: None,
        body: String::new(),
    };
    let mut length = 0_u64;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => request.authorization = Some(value.trim().to_string()),
            _ => {}
        }
    }
    reader.take(length).read_to_string(&mut request.body)?;
    Ok(Some(request))
}

impl State {
    fn register(&mut self, subject: &str, body: Json) -> usize {
        let body = as_kept(body);
        let known = self.schemas.iter().position(|schema| *schema == body);
        let place = known.unwrap_or(self.schemas.len());
        if known.is_none() {
            self.schemas.push(body);
        }
        let versions = self.subjects.entry(subject.to_string()).or_default();
        if !versions.contains(&(place + 1)) {
            versions.push(place + 1);
        }
        place + 1
    }

    fn answer(&mut self, request: &Request) -> (u16, Json) {
        self.requests
            .push(format!("{} {}", request.method, request.path));
        if let Some(status) = self.failing_with {
            return (status, refusal(50001, "Error in the backend data store"));
        }
        if self.login.is_some() && self.login != request.authorization {
            return (401, refusal(40101, "Unauthorized"));
        }
        let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match (request.method.as_str(), path.as_slice()) {
            ("GET", ["schemas", "ids", id]) => {
                let id = id.parse::<usize>().unwrap_or(0);
                match id.checked_sub(1).and_then(|place| self.schemas.get(place)) {
                    Some(schema) => (200, as_asked(schema.clone(), &request.query)),
                    None => (404, refusal(40403, "Schema not found")),
                }
            }
            ("POST", ["subjects", subject]) => self.look_up(subject, &request.body),
            ("GET", ["config"] | ["config", _]) => (200, json!({ "compatibilityLevel": "NONE" })),
            ("POST", ["subjects", subject, "versions"]) => self.post(subject, &request.body),
            ("GET", ["subjects", subject, "versions", version]) => {
                let (status, body) = self.version(subject, version);
                (status, as_asked(body, &request.query))
            }
            _ => (404, refusal(404, "HTTP 404 Not Found")),
        }
    }

    fn post(&mut self, subject: &str, body: &str) -> (u16, Json) {
        match serde_json::from_str::<Json>(body) {
            Ok(body) if body.get("schema").is_some_and(Json::is_string) => {
                (200, json!({ "id": self.register(subject, body) }))
            }
            _ => (422, refusal(42201, "Invalid schema")),
        }
    }

    fn look_up(&self, subject: &str, body: &str) -> (u16, Json) {
        let Some(versions) = self.subjects.get(subject) else {
            return (404, refusal(40401, "Subject not found"));
        };
        let wanted = as_kept(serde_json::from_str(body).unwrap_or_default());
        let found = versions.iter().position(|id| {
            let schema = id.checked_sub(1).and_then(|place| self.schemas.get(place));
            schema == Some(&wanted)
        });
        match found {
            Some(place) => self.version(subject, &(place + 1).to_string()),
            None => (404, refusal(40403, "Schema not found")),
        }
    }

    fn version(&self, subject: &str, version: &str) -> (u16, Json) {
        let Some(versions) = self.subjects.get(subject) else {
            return (404, refusal(40401, "Subject not found"));
        };
        let number = match version {
            "latest" => versions.len(),
            version => version.parse().unwrap_or(0),
        };
        let id = number.checked_sub(1).and_then(|place| versions.get(place));
        let schema = id.and_then(|id| Some((*id, self.schemas.get(id - 1)?)));
        let Some((id, Json::Object(body))) = schema else {
            return (404, refusal(40402, "Version not found"));
        };
        let mut body = body.clone();
        body.insert("subject".to_string(), json!(subject));
        body.insert("version".to_string(), json!(number));
        body.insert("id".to_string(), json!(id));
        (200, Json::Object(body))
    }
}

/// A body as it is kept: without what says nothing, and Protobuf as text.
fn as_kept(mut body: Json) -> Json {
    if let Json::Object(members) = &mut body {
        members.retain(|name, value| {
            let says_nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            let is_default = name == "schemaType" && value == "AVRO";
            !says_nothing && !is_default
        });
        if members.get("schemaType") == Some(&json!("PROTOBUF")) {
            let schema = members.get("schema").and_then(Json::as_str);
            if let Some(text) = schema.and_then(descriptors::to_text) {
                members.insert("schema".to_string(), json!(text));
            }
        }
    }
    body
}

/// A body in the form that was asked for.
fn as_asked(mut body: Json, query: &str) -> Json {
    if query.split('&').any(|part| part == "format=serialized")
        && body.get("schemaType") == Some(&json!("PROTOBUF"))
    {
        let schema = body.get("schema").and_then(Json::as_str);
        if let Some(serialized) = schema.and_then(descriptors::from_text) {
            body["schema"] = json!(serialized);
        }
    }
    body
}

fn refusal(code: u32, message: &str) -> Json {
    json!({ "error_code": code, "message": message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(state: &mut State, method: &str, path: &str, body: &Json) -> (u16, Json) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        state.answer(&Request {
            method: method.to_string(),
            path: path.to_string(),
            query: query.to_string(),
            authorization: None,
            body: body.to_string(),
        })
    }

    #[test]
    fn a_schema_is_found_however_it_was_sent() {
        let mut state = State::default();
        let avro = json!({ "schema": "\"long\"" });
        let sent = json!({ "schema": "\"long\"", "schemaType": "AVRO", "references": [] });
        let path = "/subjects/s/versions?normalize=False";
        let found = (200, json!({ "id": 1 }));
        assert_eq!(ask(&mut state, "POST", path, &sent), found);
        assert_eq!(ask(&mut state, "POST", path, &avro), found);
        let looked_up = json!({ "id": 1, "version": 1, "subject": "s", "schema": "\"long\"" });
        let path = "/subjects/s?normalize=False&deleted=True";
        assert_eq!(ask(&mut state, "POST", path, &sent), (200, looked_up));
        let other = json!({ "schema": "\"int\"" });
        assert_eq!(ask(&mut state, "POST", path, &other).1["error_code"], 40403);
        let path = "/subjects/none";
        assert_eq!(ask(&mut state, "POST", path, &avro).1["error_code"], 40401);
    }

    #[test]
    fn protobuf_is_kept_as_text_and_given_in_the_form_that_was_asked_for() {
        let mut state = State::default();
        let text = "syntax = \"proto3\";\nmessage R {\n  int64 a = 1;\n}\n";
        let serialized = descriptors::from_text(text).unwrap();
        let sent = json!({ "schema": serialized, "schemaType": "PROTOBUF" });
        let id = ask(&mut state, "POST", "/subjects/s/versions", &sent);
        assert_eq!(id, (200, json!({ "id": 1 })));
        let null = Json::Null;
        let kept = json!({ "schema": text, "schemaType": "PROTOBUF" });
        assert_eq!(ask(&mut state, "GET", "/schemas/ids/1", &null).1, kept);
        let path = "/schemas/ids/1?subject=s&format=serialized";
        assert_eq!(ask(&mut state, "GET", path, &null).1, sent);
        assert_eq!(
            ask(&mut state, "POST", "/subjects/s", &sent).1["version"],
            1
        );
    }
}
