//! What replicas say about themselves.

use std::time::Duration;

use tonic::transport::Endpoint;
use triumvir_wire::v1::cluster_client::ClusterClient;
use triumvir_wire::v1::{StatusRequest, StatusResponse};

use crate::error::ClusterError;
use crate::{Cluster, Metrics, Who, http};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

impl Cluster {
    /// What one replica says about the cluster. Takes four seconds at most.
    ///
    /// # Errors
    ///
    /// It is no replica of this cluster, or did not answer.
    pub async fn status(&self, who: &Who) -> Result<StatusResponse, ClusterError> {
        let address = self.seat(who)?.address();
        let failed = |source: tonic::Status| ClusterError::Rpc {
            who: who.clone(),
            source: Box::new(source),
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .expect("a socket address makes a URI")
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT);
        let mut client = ClusterClient::new(endpoint.connect_lazy());
        let response = client.status(StatusRequest {}).await.map_err(failed)?;
        Ok(response.into_inner())
    }

    /// The metrics of one process that serves HTTP.
    ///
    /// # Errors
    ///
    /// There is no such process, or it did not answer.
    pub async fn metrics(&self, who: &Who) -> Result<Metrics, ClusterError> {
        let address = self.seat(who)?.http_address();
        let response = http::get(address, "/metrics").await;
        let response = response.map_err(|source| ClusterError::Http {
            who: who.clone(),
            source,
        })?;
        Ok(Metrics::parse(&response.body))
    }
}
