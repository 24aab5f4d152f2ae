//! How a callback goes out: to public addresses only, each looked up once and dialled as it was checked; signed; no redirect
//! followed, and nothing read of an answer but its status.

use std::error::Error;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderName, StatusCode, header};
use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use url::Url;

use crate::gateway::egress::{Network, Unreached, look_up};
use crate::gateway::host::Place;

pub const EVENT: HeaderName = HeaderName::from_static("x-cloud-agent-event");
pub const DELIVERY: HeaderName = HeaderName::from_static("x-cloud-agent-delivery");
pub const SIGNATURE: HeaderName = HeaderName::from_static("x-cloud-agent-signature-256");

/// Who calls back. Cheap to clone; a client is made at the first call, since it reads all root certificates.
#[derive(Clone)]
pub struct Phone {
    network: Network,
    /// For everything that the operator has not named.
    public: Arc<OnceLock<Client>>,
    /// For hosts that the operator has named.
    named: Arc<OnceLock<Client>>,
}

/// What goes out.
pub struct Call<'a> {
    pub url: Url,
    /// The operator has named where it goes.
    pub is_named: bool,
    pub delivery_id: &'a str,
    pub secret: &'a SecretString,
    pub body: String,
    pub timeout: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("it leads to a private or reserved address; the operator can allow its host with CALLBACK_HOSTS")]
    Private,
    #[error("it did not answer in time")]
    Late,
    #[error("it could not be reached: {0}")]
    Failed(String),
}

impl Phone {
    pub fn new(network: Network) -> Self {
        Self { network, public: Arc::default(), named: Arc::default() }
    }

    fn client(&self, is_named: bool) -> Result<Client, NoAnswer> {
        let made = if is_named { &self.named } else { &self.public };
        if let Some(client) = made.get() {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .user_agent(concat!("cloud-agent/", env!("CARGO_PKG_VERSION")))
            // A redirect would carry the call to where nobody has looked.
            .redirect(Policy::none())
            // A proxy would look the name up by itself, and dial what it likes.
            .no_proxy()
            // A connection that is kept would be used without a new look at the name.
            .pool_max_idle_per_host(0);
        let client = match is_named {
            true => client,
            false => client.dns_resolver(Arc::new(Checked(self.network.clone()))),
        };
        let client = client.build().map_err(|error| NoAnswer::Failed(error.to_string()))?;
        Ok(made.get_or_init(|| client).clone())
    }

    /// Call, and hear the status.
    pub async fn call(&self, call: Call<'_>) -> Result<StatusCode, NoAnswer> {
        let request = self
            .client(call.is_named)?
            .post(call.url)
            .timeout(call.timeout)
            .header(header::CONTENT_TYPE, "application/json")
            .header(EVENT, "task")
            .header(DELIVERY, call.delivery_id)
            .header(SIGNATURE, signature(call.secret, call.body.as_bytes()))
            .body(call.body);
        // What is left of the answer is dropped with the connection.
        request.send().await.map(|answer| answer.status()).map_err(|error| no_answer(&error))
    }
}

fn no_answer(error: &reqwest::Error) -> NoAnswer {
    if error.is_timeout() {
        return NoAnswer::Late;
    }
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    let mut says = String::new();
    while let Some(it) = cause {
        if let Some(Unreached::Private) = it.downcast_ref::<Unreached>() {
            return NoAnswer::Private;
        }
        says = it.to_string();
        cause = it.source();
    }
    NoAnswer::Failed(says)
}

/// As GitHub signs its deliveries: HMAC-SHA256 over the raw body, as hex.
fn signature(secret: &SecretString, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes());
    // HMAC takes keys of any length.
    mac.map(|mac| format!("sha256={}", hex::encode(mac.chain_update(body).finalize().into_bytes()))).unwrap_or_default()
}

/// Looks names up, and lets none through that leads to a private address or to this machine.
struct Checked(Network);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let network = self.0.clone();
        Box::pin(async move {
            // The port is the URL's: hyper puts it in the place of none.
            let place = Place::parse(&format!("{}:443", name.as_str()))?;
            let mut found = look_up(&place, &network).await?;
            for address in &mut found {
                // A connection that ends where it begins leads to this machine, whatever its address says.
                if !(network.may_dial)(address.ip(), own_address(*address)) {
                    return Err(Unreached::Private.into());
                }
                address.set_port(0);
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Our own address on a connection to there, as the routing table has it; nothing is sent.
fn own_address(to: SocketAddr) -> Option<IpAddr> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::gateway::host::is_public;

    /// A network in which every name leads to these addresses.
    fn leads_to(addresses: &[&str], may_dial: fn(IpAddr, Option<IpAddr>) -> bool) -> Network {
        let addresses: Vec<SocketAddr> = addresses.iter().map(|it| SocketAddr::new(it.parse().unwrap(), 443)).collect();
        let resolve = move |_| -> futures::future::BoxFuture<'static, _> {
            let found = addresses.clone();
            Box::pin(async move { Ok(found) })
        };
        Network { resolve: Arc::new(resolve), may_dial }
    }

    async fn call(network: Network, url: &str) -> Result<StatusCode, NoAnswer> {
        let call = Call {
            url: url.parse().unwrap(),
            is_named: false,
            delivery_id: "d1",
            secret: &"It's a Secret to Everybody".into(),
            body: "Hello, World!".to_owned(),
            timeout: Duration::from_secs(5),
        };
        Phone::new(network).call(call).await
    }

    /// Answers one request like this, and says what it was.
    async fn answers(answer: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let (mut heard, mut bytes) = (String::new(), [0; 4096]);
            while !heard.ends_with("World!") {
                let n = client.read(&mut bytes).await.unwrap();
                heard.push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
            client.write_all(answer.as_bytes()).await.unwrap();
            heard
        });
        (port, heard)
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_called() {
        for inside in ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1"] {
            for addresses in [&[inside][..], &["93.184.215.14", inside]] {
                let called = call(leads_to(addresses, is_public), "https://hooks.example.com/x").await;
                assert!(matches!(called, Err(NoAnswer::Private)), "{addresses:?}: {called:?}");
            }
        }
    }

    #[tokio::test]
    async fn this_machine_is_not_called_by_a_public_address_of_its_own() {
        let but_not_ours = |address: IpAddr, from: Option<IpAddr>| from != Some(address);
        let called = call(leads_to(&["127.0.0.1"], but_not_ours), "http://hooks.example.com/x").await;
        assert!(matches!(called, Err(NoAnswer::Private)), "{called:?}");
    }

    #[tokio::test]
    async fn the_address_that_was_checked_is_dialled_and_the_call_is_signed_like_githubs() {
        let (port, heard) =
            answers("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 9999999\r\n\r\n").await;
        let called =
            call(leads_to(&["127.0.0.1"], |_, _| true), &format!("http://hooks.example.com:{port}/x?y=z")).await;
        assert_eq!(called.unwrap(), StatusCode::FOUND, "it is not followed, and its body not waited for");
        let heard = heard.await.unwrap();
        for line in [
            "POST /x?y=z HTTP/1.1\r\n",
            &format!("host: hooks.example.com:{port}\r\n"),
            "x-cloud-agent-event: task\r\n",
            "x-cloud-agent-delivery: d1\r\n",
            // The test vector of GitHub's documentation.
            "x-cloud-agent-signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\r\n",
        ] {
            assert!(heard.contains(line), "{line}: {heard}");
        }
    }
}
