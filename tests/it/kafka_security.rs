//! TLS and logins: who has the right ones reads and writes, who has not is told why.
//!
//! The broker is open to all; a proxy before it wants what a guarded cluster wants.

use std::fmt::Write;

use headwater::Headwater;
use headwater_testkit::{
    Answer, Authority, DevRegistry, Guard, HttpServer, Issued, KafkaProxy, Lifetime, Login,
};
use headwater_tests::real_broker;

use crate::command::Dir;
use crate::kafka::{Cluster, orders, produce, rows};

pub(crate) const ROWS: u32 = 30;
pub(crate) const LOCALHOST: &str = "127.0.0.1";
const PASSWORD: &str = "correct horse; 'battery' staple";

/// A topic with rows behind a proxy, and files of certificates.
pub(crate) struct Guarded {
    pub(crate) dir: Dir,
    pub(crate) authority: Authority,
    pub(crate) server: Issued,
    pub(crate) proxy: KafkaProxy,
    pub(crate) servers: String,
    pub(crate) topic: String,
}

impl Guarded {
    /// The guard is made of the server's certificate and the authority it comes from.
    pub(crate) async fn new(
        lifetime: Lifetime,
        host: &str,
        guard: impl Fn(&Issued, &Authority) -> Guard,
    ) -> Option<Guarded> {
        let cluster = Cluster {
            servers: real_broker()?,
            mock: None,
        };
        let topic = cluster.new_topic("guarded", 1).await;
        produce(&cluster.servers, &topic, 0, orders(0, ROWS)).await;
        let authority = Authority::new().unwrap();
        let server = authority.issue(host, lifetime).unwrap();
        let dir = Dir::new();
        dir.create("ca.pem", &authority.pem().unwrap());
        let client = authority.issue("client", Lifetime::Now).unwrap();
        dir.create("client.pem", &client.certificate_pem().unwrap());
        dir.create("client.key", &client.key_pem().unwrap());
        let proxy = KafkaProxy::guarded(&cluster.servers, guard(&server, &authority)).unwrap();
        Some(Guarded {
            servers: proxy.bootstrap_servers(),
            dir,
            authority,
            server,
            proxy,
            topic,
        })
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The properties of options; `CA` is the right authority's file.
    pub(crate) fn options(&self, properties: &[(&str, &str)]) -> String {
        let mut options = format!(
            "connector = 'kafka', topic = '{}', 'bootstrap.servers' = '{}'",
            self.topic, self.servers
        );
        for (name, value) in properties {
            let value = value
                .replace("CA", &self.file("ca.pem"))
                .replace('\'', "''");
            write!(options, ", 'properties.{name}' = '{value}'").unwrap();
        }
        options
    }

    /// A session that has declared the topic.
    pub(crate) async fn session(&self, properties: &[(&str, &str)]) -> Headwater {
        let hw = Headwater::builder().build().unwrap();
        let options = self.options(properties);
        let declared =
            format!("CREATE SOURCE t (id BIGINT) WITH ({options}, start = 'earliest') FORMAT JSON");
        hw.sql(&declared).await.unwrap();
        hw
    }

    pub(crate) async fn count(&self, properties: &[(&str, &str)]) -> Vec<String> {
        rows(
            &self.session(properties).await,
            "SELECT count(*), max(id) FROM t",
        )
        .await
    }

    /// What a reader is told that may not come in.
    pub(crate) async fn refusal(&self, properties: &[(&str, &str)]) -> String {
        let hw = self.session(properties).await;
        let error = match hw.sql("SELECT count(*) FROM t").await {
            Err(error) => error,
            Ok(outcome) => outcome.collect().await.unwrap_err(),
        };
        error.report("it", None)
    }
}

pub(crate) fn all() -> Vec<String> {
    vec![format!("{ROWS} {}", ROWS - 1)]
}

fn tls(server: &Issued, _: &Authority) -> Guard {
    Guard::default().with_tls(server).unwrap()
}

fn login() -> Login {
    Login::Password {
        user: "me".to_string(),
        password: PASSWORD.to_string(),
    }
}

const SSL: (&str, &str) = ("security.protocol", "ssl");
pub(crate) const SASL_SSL: (&str, &str) = ("security.protocol", "SASL_SSL");
pub(crate) const CA: (&str, &str) = ("ssl.ca.location", "CA");

#[tokio::test]
async fn topics_are_read_over_tls() {
    let Some(guarded) = Guarded::new(Lifetime::Now, LOCALHOST, tls).await else {
        return;
    };
    assert_eq!(guarded.count(&[SSL, CA]).await, all());
    // As the Java client writes it.
    let java = [
        SSL,
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", "CA"),
    ];
    assert_eq!(guarded.count(&java).await, all());
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused() {
    let Some(guarded) = Guarded::new(Lifetime::Now, LOCALHOST, tls).await else {
        return;
    };
    let unknown = guarded.refusal(&[SSL]).await;
    assert!(unknown.contains("refused the connection"), "{unknown}");
    assert!(unknown.contains("certificate verify failed"), "{unknown}");
    assert!(
        unknown.contains("hint: Check 'properties.security.protocol'"),
        "{unknown}"
    );
    let over = Guarded::new(Lifetime::Over, LOCALHOST, tls).await.unwrap();
    let over = over.refusal(&[SSL, CA]).await;
    assert!(over.contains("certificate verify failed"), "{over}");
    let other = Guarded::new(Lifetime::Now, "other.example", tls)
        .await
        .unwrap();
    let told = other.refusal(&[SSL, CA]).await;
    assert!(told.contains("certificate verify failed"), "{told}");
    // Who asks for no check gets none.
    let unchecked = [SSL, CA, ("ssl.endpoint.identification.algorithm", "")];
    assert_eq!(other.count(&unchecked).await, all());
}

#[tokio::test]
async fn plain_text_to_a_server_of_tls_is_told() {
    let Some(guarded) = Guarded::new(Lifetime::Now, LOCALHOST, tls).await else {
        return;
    };
    let told = guarded.refusal(&[]).await;
    assert!(told.contains("could not reach broker"), "{told}");
    // A port that says nothing may speak TLS, one that ends the connection seems to.
    assert!(told.contains("speak"), "{told}");
    let hint = "set 'properties.security.protocol' = 'SSL'";
    assert!(told.contains(hint), "{told}");
}

#[tokio::test]
async fn tls_to_a_server_of_plain_text_is_told() {
    let open = |_: &Issued, _: &Authority| Guard::default();
    let Some(guarded) = Guarded::new(Lifetime::Now, LOCALHOST, open).await else {
        return;
    };
    let told = guarded.refusal(&[SSL, CA]).await;
    assert!(told.contains("could not reach broker"), "{told}");
    let hint = "hint: That port does not seem to speak TLS, which 'security.protocol' = 'SSL' asks for: \
                name the port that does, or set 'properties.security.protocol' = 'PLAINTEXT'.";
    assert!(told.contains(hint), "{told}");
    let login = [
        SASL_SSL,
        CA,
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "me"),
        ("sasl.password", PASSWORD),
    ];
    let told = guarded.refusal(&login).await;
    let hint = "or set 'properties.security.protocol' = 'SASL_PLAINTEXT'.";
    assert!(told.contains(hint), "{told}");
    assert!(!told.contains(PASSWORD), "{told}");
}

#[tokio::test]
async fn a_file_of_authorities_that_is_not_there_is_named() {
    let Some(guarded) = Guarded::new(Lifetime::Now, LOCALHOST, tls).await else {
        return;
    };
    let gone = guarded.file("gone.pem");
    let told = guarded.refusal(&[SSL, ("ssl.ca.location", &gone)]).await;
    let expected = format!("cannot read \"{gone}\", which \"ssl.ca.location\" names: No such file");
    assert!(told.contains(&expected), "{told}");
}

#[tokio::test]
async fn clients_show_certificates() {
    let guard = |server: &Issued, authority: &Authority| {
        Guard::default().with_mutual_tls(server, authority).unwrap()
    };
    let Some(guarded) = Guarded::new(Lifetime::Now, LOCALHOST, guard).await else {
        return;
    };
    let (certificate, key) = (guarded.file("client.pem"), guarded.file("client.key"));
    let shown = [
        SSL,
        CA,
        ("ssl.certificate.location", certificate.as_str()),
        ("ssl.key.location", key.as_str()),
    ];
    assert_eq!(guarded.count(&shown).await, all());
    let told = guarded.refusal(&[SSL, CA]).await;
    assert!(told.contains("hint: Check"), "{told}");
}

#[tokio::test]
async fn passwords_open_and_wrong_ones_do_not() {
    let guard = |server: &Issued, _: &Authority| {
        Guard::default()
            .with_tls(server)
            .unwrap()
            .with_login(login())
    };
    let Some(guarded) = Guarded::new(Lifetime::Now, LOCALHOST, guard).await else {
        return;
    };
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let with = |password| {
            [
                SASL_SSL,
                CA,
                ("sasl.mechanism", mechanism),
                ("sasl.username", "me"),
                ("sasl.password", password),
            ]
        };
        assert_eq!(guarded.count(&with(PASSWORD)).await, all(), "{mechanism}");
        let told = guarded.refusal(&with("wr0ng")).await;
        assert!(
            told.contains("refused the connection"),
            "{mechanism}: {told}"
        );
        assert!(told.contains("uthentication fail"), "{mechanism}: {told}");
        assert!(!told.contains("wr0ng"), "{mechanism}: {told}");
    }
    let file = guarded.file("password");
    guarded.dir.create("password", &format!("{PASSWORD}\n"));
    let reference = format!("${{file:{file}}}");
    let from_file = [
        SASL_SSL,
        CA,
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "me"),
        ("sasl.password", reference.as_str()),
    ];
    assert_eq!(guarded.count(&from_file).await, all());
}

/// Rows go through a topic behind the guard into another one, in transactions; then the password
/// changes, and the query stops with the reason.
#[tokio::test]
async fn queries_read_and_write_until_the_password_changes() {
    let guard = |server: &Issued, _: &Authority| {
        Guard::default()
            .with_tls(server)
            .unwrap()
            .with_login(login())
    };
    let Some(guarded) = Guarded::new(Lifetime::Now, LOCALHOST, guard).await else {
        return;
    };
    let cluster = Cluster {
        servers: real_broker().unwrap(),
        mock: None,
    };
    let out = cluster.new_topic("guarded-out", 1).await;
    let properties = [
        SASL_SSL,
        CA,
        ("sasl.mechanism", "SCRAM-SHA-256"),
        ("sasl.username", "me"),
        ("sasl.password", PASSWORD),
    ];
    let hw = guarded.session(&properties).await;
    let written = guarded.options(&properties).replace(&guarded.topic, &out);
    let checkpoint = guarded.file("checkpoint");
    hw.sql(&format!(
        "CREATE SINK out (id BIGINT) WITH ({written}, delivery = 'exactly-once') FORMAT JSON;
         SET 'checkpointLocation' = '{checkpoint}'"
    ))
    .await
    .unwrap();
    let query = hw
        .sql("CREATE STREAMING QUERY q WITH (trigger = 'asap') AS INSERT INTO out SELECT id FROM t")
        .await
        .unwrap()
        .into_query()
        .unwrap();
    query.process_all_available().await.unwrap();
    let open = Headwater::builder().build().unwrap();
    open.sql(&format!(
        "CREATE SOURCE done (id BIGINT) WITH (connector = 'kafka', topic = '{out}',
           'bootstrap.servers' = '{}') FORMAT JSON",
        cluster.servers
    ))
    .await
    .unwrap();
    assert_eq!(
        rows(&open, "SELECT count(*), max(id) FROM done").await,
        all()
    );

    let changed = Login::Password {
        user: "me".to_string(),
        password: "another".to_string(),
    };
    let guard = Guard::default().with_tls(&guarded.server).unwrap();
    guarded.proxy.set_guard(guard.with_login(changed));
    guarded.proxy.cut();
    let error = query.await_termination().await.unwrap_err();
    let told = error.report("it", None);
    assert!(told.contains("refused the connection"), "{told}");
    assert!(!told.contains(PASSWORD), "{told}");
}

/// A registry behind TLS, asked by a source and trusted by its authority's file.
#[tokio::test]
async fn registries_are_asked_over_tls() {
    let Some(guarded) = Guarded::new(Lifetime::Now, LOCALHOST, tls).await else {
        return;
    };
    let provider = HttpServer::start(
        Answer::Json(500, "{}".to_string()),
        Some(&guarded.authority.issue(LOCALHOST, Lifetime::Now).unwrap()),
    )
    .unwrap();
    let registry = DevRegistry::start().unwrap();
    provider.set_answer(Answer::Of(registry.url().replace("http://", "")));
    let (url, ca) = (provider.url(), guarded.file("ca.pem"));
    let hw = Headwater::builder().build().unwrap();
    let options = guarded.options(&[SSL, CA]);
    hw.sql(&format!(
        "CREATE SINK s WITH ({options}, 'avro.schema.registry' = '{url}',
           'avro.schema.registry.ssl.ca.location' = '{ca}') FORMAT AVRO;
         CREATE SINK untrusted WITH ({options}, 'avro.schema.registry' = '{url}') FORMAT AVRO"
    ))
    .await
    .unwrap();
    hw.sql("CREATE SOURCE d (id BIGINT) WITH (connector = 'datagen', rows = 3)")
        .await
        .unwrap();
    let write = async |sink: &str| {
        let started = hw
            .sql(&format!(
                "CREATE STREAMING QUERY to_{sink} WITH (trigger = 'available-now')
                   AS INSERT INTO {sink} SELECT id FROM d"
            ))
            .await?;
        started.into_query()?.await_termination().await
    };
    write("s").await.unwrap();
    assert!(
        registry
            .latest(&format!("{}-value", guarded.topic))
            .is_some()
    );
    let told = write("untrusted").await.unwrap_err().report("it", None);
    assert!(told.contains("could not reach schema registry"), "{told}");
    assert!(told.contains("certificate"), "{told}");
}
