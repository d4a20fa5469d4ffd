//! Tokens of OAUTHBEARER: who has the right one comes in, and a query that runs takes new ones.

use std::time::Duration;

use headwater::kafka::{KafkaConnection, create_topic, list_topics};
use headwater::{Clock, SystemClock};
use headwater_testkit::{Answer, Authority, Guard, HttpServer, Issued, Lifetime, Login};
use headwater_tests::real_broker;

use crate::kafka::{orders, produce};
use crate::kafka_security::{CA, Guarded, LOCALHOST, ROWS, SASL_SSL, all};

const TOKEN: &str = "t0ken-of-the-provider";

/// Lets those in who have the token.
fn wants(token: &str) -> impl Fn(&Issued, &Authority) -> Guard {
    let login = Login::Token(token.to_string());
    move |server, _| {
        let guard = Guard::default().with_tls(server).unwrap();
        guard.with_login(login.clone())
    }
}

/// What a provider answers that gives a token for some seconds.
fn token(token: &str, seconds: u32) -> Answer {
    let body = format!("{{\"access_token\":\"{token}\",\"expires_in\":{seconds}}}");
    Answer::Json(200, body)
}

/// Asks a provider for tokens.
fn asks(url: &str) -> [(&'static str, &str); 9] {
    [
        SASL_SSL,
        CA,
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.method", "oidc"),
        ("sasl.oauthbearer.token.endpoint.url", url),
        ("sasl.oauthbearer.client.id", "job"),
        ("sasl.oauthbearer.client.secret", "s3cret"),
        ("sasl.oauthbearer.scope", "read write"),
        ("https.ca.location", "CA"),
    ]
}

#[tokio::test]
async fn tokens_open() {
    let Some(guarded) = Guarded::new(Lifetime::Now, LOCALHOST, wants(TOKEN)).await else {
        return;
    };
    let provider = HttpServer::start(token(TOKEN, 3600), Some(&guarded.server)).unwrap();
    let url = format!("{}/token", provider.url());
    let asks = asks(&url);
    assert_eq!(guarded.count(&asks).await, all());
    let request = provider.requests().remove(0);
    assert!(request.starts_with("POST /token "), "{request}");
    assert!(
        request.ends_with("grant_type=client_credentials&scope=read+write"),
        "{request}"
    );
    // job:s3cret
    assert!(request.contains("Basic am9iOnMzY3JldA=="), "{request}");

    let connection = KafkaConnection::new(&guarded.servers);
    let ca = guarded.file("ca.pem");
    let properties = asks.map(|(name, value)| (name, if value == "CA" { &ca } else { value }));
    let connection = connection.with_properties("the test", properties).unwrap();
    let made = format!("{}-made-by-tokens", guarded.topic);
    create_topic(&connection, &made, 2, Some(1)).await.unwrap();
    let topics = list_topics(&connection).await.unwrap();
    let made = topics.iter().find(|topic| topic.name == made).unwrap();
    assert_eq!(made.partitions.len(), 2);

    provider.set_answer(token("another", 3600));
    let told = create_topic(&connection, "no-more", 1, Some(1)).await;
    let told = told.unwrap_err().report("it", None);
    assert!(told.contains("refused the connection"), "{told}");
    let told = guarded.refusal(&asks).await;
    assert!(told.contains("refused the connection"), "{told}");
    provider.set_answer(Answer::Json(
        401,
        "{\"error\":\"invalid_client\"}".to_string(),
    ));
    let told = guarded.refusal(&asks).await;
    assert!(told.contains("gave no token and status 401"), "{told}");
    assert!(
        told.contains("invalid_client") && !told.contains("s3cret"),
        "{told}"
    );

    guarded.dir.create("token", TOKEN);
    let file = guarded.file("token");
    let reads = [
        SASL_SSL,
        CA,
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.token.file", file.as_str()),
    ];
    assert_eq!(guarded.count(&reads).await, all());
}

/// `None` if it takes longer.
async fn within_a_minute(work: impl Future<Output = ()>) -> Option<()> {
    tokio::select! {
        () = work => Some(()),
        () = SystemClock::new().sleep(Duration::from_secs(60)) => None,
    }
}

/// A token of a few seconds ends while a query runs, again and again: it asks for the next one in
/// time, and comes in with it after its connections were cut.
#[tokio::test]
async fn a_query_outlives_its_tokens() {
    let Some(guarded) = Guarded::new(Lifetime::Now, LOCALHOST, wants(TOKEN)).await else {
        return;
    };
    let provider = HttpServer::start(token(TOKEN, 4), Some(&guarded.server)).unwrap();
    let url = format!("{}/token", provider.url());
    let hw = guarded.session(&asks(&url)).await;
    let (out, checkpoint) = (guarded.file("out"), guarded.file("checkpoint"));
    hw.sql(&format!(
        "CREATE SINK out (id BIGINT) WITH (connector = 'filesystem', path = '{out}') FORMAT JSON;
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

    provider.set_answer(token("the-next-token", 4));
    // The query has two clients, and a request is counted before it is answered.
    let before = provider.requests().len();
    let clock = SystemClock::new();
    let asked_again = async {
        while provider.requests().len() < before + 4 {
            clock.sleep(Duration::from_millis(50)).await;
        }
    };
    let in_time = within_a_minute(asked_again).await;
    in_time.expect("the provider is asked before a token ends");
    let next = wants("the-next-token")(&guarded.server, &guarded.authority);
    guarded.proxy.set_guard(next);
    guarded.proxy.cut();
    let open = real_broker().unwrap();
    produce(&open, &guarded.topic, 0, orders(ROWS, 2 * ROWS)).await;
    let all_read = async {
        while guarded.dir.lines_below("out").len() < 2 * ROWS as usize {
            query.process_all_available().await.unwrap();
        }
    };
    let in_time = within_a_minute(all_read).await;
    in_time.expect("the query goes on with the next token");
    query.stop().await.unwrap();
}
