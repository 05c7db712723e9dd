//! One direction of the network between two replicas: a TCP forwarder that can be cut.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// Forwards connections to `target` until it is dropped, which breaks them all at once.
pub(crate) struct Link {
    /// Where to connect.
    pub(crate) address: String,
    /// Where that leads.
    pub(crate) target: String,
    _task: AbortOnDropHandle<()>,
}

impl Link {
    pub(crate) async fn open(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task: JoinHandle<()> = tokio::spawn(forward(listener, target.to_owned()));
        Self {
            address,
            target: target.to_owned(),
            _task: AbortOnDropHandle::new(task),
        }
    }
}

async fn forward(listener: TcpListener, target: String) {
    let mut connections = Vec::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let target = target.clone();
        let pump = tokio::spawn(async move {
            if let Ok(mut far) = TcpStream::connect(&target).await {
                let _ = near.set_nodelay(true);
                let _ = far.set_nodelay(true);
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
        connections.push(AbortOnDropHandle::new(pump));
    }
}
