//! What an application calls.

use std::sync::Arc;

use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};
use tracing::Instrument as _;
use triumvir_protocol::TxnId;
use triumvir_wire::status::LEADER_METADATA;
use triumvir_wire::v1::transactions_client::TransactionsClient;
use triumvir_wire::v1::transactions_server::Transactions;
use triumvir_wire::{Code, Failure, ids, limits, v1};

use super::commit::{Checked, not_ahead};
use super::forward::{Call, Leader, status};
use super::{answer, commit_many, watch};
use crate::owner::{Answered, Input, ListQuery};
use crate::shared::Shared;

/// How many transactions a list holds when the request does not say, and at most.
const LIST_DEFAULT: usize = 100;
const LIST_MAX: usize = 1000;

/// Serves clients at one replica.
#[derive(Clone, Debug)]
pub(crate) struct TransactionsService {
    shared: Arc<Shared>,
}

impl TransactionsService {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn call<M>(&self, request: &Request<M>, unanswered: Code) -> Call {
        Call::new(
            request.metadata(),
            self.shared.config.call_timeout,
            unanswered,
        )
    }

    fn client(leader: &Leader) -> TransactionsClient<tonic::transport::Channel> {
        TransactionsClient::new(leader.channel.clone())
            .max_decoding_message_size(limits::RESPONSE_BYTES_MAX)
    }

    pub(super) async fn commit(
        &self,
        call: Call,
        mut request: v1::CommitRequest,
    ) -> Result<v1::CommitResponse, Failure> {
        let shared = &*self.shared;
        let checked = Checked::new(&mut request, &shared.config)?;
        let leads = shared.view.borrow().leading.is_some();
        if shared.shutdown.is_draining() && !leads && !call.is_forwarded() {
            return Err(Failure::from(Code::Draining));
        }
        let (request, checked) = (&request, &checked);
        let local = || async move {
            let directory = shared.view().directory;
            let resolved = match checked.resolve(&directory) {
                Ok(resolved) => resolved,
                Err(failure) => return Some(Err(failure)),
            };
            let submission = resolved.submission;
            let answered = shared
                .ask(|reply| Input::Commit { submission, reply })
                .await?;
            let told = answer::commit(&directory, checked.txn, &resolved.order, answered);
            Some(told.map_err(|failure| checked.in_use(&directory, failure)))
        };
        let remote = |leader: Leader| async move {
            let forwarded = leader.request(request.clone());
            Self::client(&leader)
                .commit(forwarded)
                .await
                .map(Response::into_inner)
        };
        let span = tracing::debug_span!("commit", txn = %checked.txn);
        call.at_leader(shared, local, remote).instrument(span).await
    }

    async fn outcome(
        &self,
        call: Call,
        request: v1::OutcomeRequest,
    ) -> Result<v1::OutcomeResponse, Failure> {
        let (txn, decide) = (self.txn(&request.txn)?, request.decide);
        let shared = &*self.shared;
        if shared.view.borrow().leading.is_none() {
            let ask = shared.ask(|reply| Input::Outcome {
                txn,
                decide: false,
                reply,
            });
            if let Ok(Some(answered @ Answered::Ended(_))) =
                tokio::time::timeout_at(call.deadline(), ask).await
            {
                return answer::asked(&shared.view().directory, txn, answered);
            }
        }
        let request = &request;
        let local = || self.asked(txn, move |reply| Input::Outcome { txn, decide, reply });
        let remote = |leader: Leader| async move {
            let forwarded = leader.request(request.clone());
            Self::client(&leader)
                .outcome(forwarded)
                .await
                .map(Response::into_inner)
        };
        call.at_leader(shared, local, remote).await
    }

    async fn abort(
        &self,
        call: Call,
        request: v1::AbortRequest,
    ) -> Result<v1::OutcomeResponse, Failure> {
        let txn = self.txn(&request.txn)?;
        let request = &request;
        let local = || self.asked(txn, move |reply| Input::Abort { txn, reply });
        let remote = |leader: Leader| async move {
            let forwarded = leader.request(request.clone());
            Self::client(&leader)
                .abort(forwarded)
                .await
                .map(Response::into_inner)
        };
        call.at_leader(&self.shared, local, remote).await
    }

    async fn asked(
        &self,
        txn: TxnId,
        input: impl FnOnce(tokio::sync::oneshot::Sender<Answered>) -> Input,
    ) -> Option<Result<v1::OutcomeResponse, Failure>> {
        let answered = self.shared.ask(input).await?;
        Some(answer::asked(&self.shared.view().directory, txn, answered))
    }

    async fn describe(
        &self,
        call: Call,
        request: v1::DescribeRequest,
    ) -> Result<v1::TransactionDescription, Failure> {
        let txn = ids::txn("txn", &request.txn)?;
        let (shared, request) = (&*self.shared, &request);
        let local = || async move {
            shared
                .ask(|reply| Input::Describe { txn, reply })
                .await
                .map(Ok)
        };
        let remote = |leader: Leader| async move {
            let forwarded = leader.request(request.clone());
            Self::client(&leader)
                .describe(forwarded)
                .await
                .map(Response::into_inner)
        };
        call.at_leader(shared, local, remote).await
    }

    async fn list(
        &self,
        call: Call,
        request: v1::ListRequest,
    ) -> Result<v1::ListResponse, Failure> {
        let limit = match usize::try_from(request.limit).unwrap_or(LIST_MAX) {
            0 => LIST_DEFAULT,
            limit => limit.min(LIST_MAX),
        };
        let after = ids::optional_txn("after", &request.after)?;
        let query = ListQuery {
            ended: request.ended,
            limit,
            after,
        };
        let (shared, request) = (&*self.shared, &request);
        let local = || async move {
            shared
                .ask(|reply| Input::List { query, reply })
                .await
                .map(Ok)
        };
        let remote = |leader: Leader| async move {
            let forwarded = leader.request(request.clone());
            Self::client(&leader)
                .list(forwarded)
                .await
                .map(Response::into_inner)
        };
        call.at_leader(shared, local, remote).await
    }

    /// An id that a client asks about.
    fn txn(&self, bytes: &[u8]) -> Result<TxnId, Failure> {
        let txn = ids::txn("txn", bytes)?;
        not_ahead(txn, &self.shared.config)?;
        Ok(txn)
    }

    /// The answer to a call; one that does not come from the leader says who that is.
    fn answer<T>(&self, result: Result<T, Failure>) -> Result<Response<T>, Status> {
        let message = result.map_err(|failure| status(&self.shared, failure))?;
        let mut response = Response::new(message);
        let leader = self.shared.leader_address();
        if let Some(Ok(leader)) = leader.map(MetadataValue::try_from) {
            response.metadata_mut().insert(LEADER_METADATA, leader);
        }
        Ok(response)
    }
}

#[tonic::async_trait]
impl Transactions for TransactionsService {
    async fn commit(
        &self,
        request: Request<v1::CommitRequest>,
    ) -> Result<Response<v1::CommitResponse>, Status> {
        let call = self.call(&request, Code::OutcomeUnknown);
        self.answer(Self::commit(self, call, request.into_inner()).await)
    }

    type CommitManyStream = commit_many::Answers;

    async fn commit_many(
        &self,
        request: Request<tonic::Streaming<v1::CommitFrame>>,
    ) -> Result<Response<Self::CommitManyStream>, Status> {
        let (service, shared) = (self.clone(), self.shared.clone());
        let answers = commit_many::serve(service, shared, request.into_inner());
        Ok(Response::new(answers))
    }

    async fn outcome(
        &self,
        request: Request<v1::OutcomeRequest>,
    ) -> Result<Response<v1::OutcomeResponse>, Status> {
        let call = self.call(&request, Code::OutcomeUnknown);
        self.answer(Self::outcome(self, call, request.into_inner()).await)
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::TransactionDescription>, Status> {
        let call = self.call(&request, Code::NoAnswer);
        self.answer(Self::describe(self, call, request.into_inner()).await)
    }

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let call = self.call(&request, Code::NoAnswer);
        self.answer(Self::list(self, call, request.into_inner()).await)
    }

    async fn abort(
        &self,
        request: Request<v1::AbortRequest>,
    ) -> Result<Response<v1::OutcomeResponse>, Status> {
        let call = self.call(&request, Code::OutcomeUnknown);
        self.answer(Self::abort(self, call, request.into_inner()).await)
    }

    type WatchStream = watch::Events;

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let call = self.call(&request, Code::NoAnswer);
        self.answer(watch::watch(self.shared.clone(), call).await)
    }
}
