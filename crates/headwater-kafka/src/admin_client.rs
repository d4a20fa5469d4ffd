//! A client that makes topics and asks for their settings. It logs in by tokens too.
//!
//! Consumers and producers ask for tokens when they are polled. This client of rdkafka polls a queue
//! on which nobody asks for them, so it is handed one when it is made, which is enough for a client
//! that asks one thing and ends.
#![expect(
    unsafe_code,
    reason = "a token can be handed to a client only in librdkafka's C interface"
)]

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use headwater_core::{Error, Result};
use rdkafka::admin::AdminClient;
use rdkafka::bindings as ffi;
use rdkafka::client::OAuthToken;

use crate::advice::config_error;
use crate::client::{ClientEvents, KafkaConnection};
use crate::cluster::blocking;

/// What librdkafka writes of an error, in bytes.
const ERROR_BYTES: usize = 512;

/// Makes a client.
///
/// # Errors
/// If it cannot be made, or there is no token for it.
pub(crate) async fn connect(
    owner: &str,
    connection: &KafkaConnection,
) -> Result<AdminClient<ClientEvents>> {
    let events = connection.events(owner);
    let client = connection.config().create_with_context(events);
    let client = client.map_err(|error| config_error(owner, &error))?;
    // The provider of tokens is asked over the network.
    blocking(move || hand_over_token(client)).await
}

/// Ends a client, which waits for its thread.
pub(crate) async fn end(client: AdminClient<ClientEvents>) {
    let _ = blocking(move || {
        drop(client);
        Ok(())
    })
    .await;
}

fn hand_over_token(client: AdminClient<ClientEvents>) -> Result<AdminClient<ClientEvents>> {
    if let Some(token) = client.inner().context().new_token()? {
        set_token(&client, &token)?;
    }
    Ok(client)
}

fn set_token(client: &AdminClient<ClientEvents>, token: &OAuthToken) -> Result<()> {
    let c_text = |text: &str| {
        CString::new(text).map_err(|_| Error::configuration("a token has a NUL in it"))
    };
    let (value, principal) = (c_text(&token.token)?, c_text(&token.principal_name)?);
    let mut told: [c_char; ERROR_BYTES] = [0; ERROR_BYTES];
    // SAFETY: the client lives as long as `client` is borrowed; the texts end with NUL and live until
    // the end of this function, and librdkafka copies them; there are no extensions, so that their
    // pointer is not followed; at most as many bytes as `told` has are written to it, with a NUL.
    let code = unsafe {
        ffi::rd_kafka_oauthbearer_set_token(
            client.inner().native_ptr(),
            value.as_ptr(),
            token.lifetime_ms,
            principal.as_ptr(),
            ptr::null_mut(),
            0,
            told.as_mut_ptr(),
            told.len(),
        )
    };
    if code == ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    // SAFETY: `told` was filled with zeros, and what was written to it ends with NUL.
    let told = unsafe { CStr::from_ptr(told.as_ptr()) };
    let told = told.to_string_lossy();
    Err(Error::configuration(format!(
        "librdkafka does not take the token: {told}"
    )))
}
