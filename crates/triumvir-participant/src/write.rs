//! A resource's part of a forced write. What is written is the resource's business; when it becomes
//! durable is the runtime's.

use std::fmt;

use triumvir_storage::{StorageError, WriteBatch};

type Apply = Box<dyn FnOnce(&mut WriteBatch<'_>) -> Result<(), StorageError> + Send>;
type Durable = Box<dyn FnOnce() + Send>;

/// Changes to tables of the data folder's own database that become durable in the same commit as the
/// journal record that they belong to: both, or neither.
pub struct Write {
    apply: Apply,
    durable: Option<Durable>,
    size_bytes: usize,
}

impl Write {
    /// A write of about `size_bytes`.
    ///
    /// `apply` runs once, on the writer's thread, in the order in which the resource's calls
    /// finished. It opens tables of its own, whose names begin neither with `journal_` nor with `kv_`,
    /// and must be quick.
    /// An error, or a panic, stops the process: what was to be durable is not.
    pub fn new(
        size_bytes: usize,
        apply: impl FnOnce(&mut WriteBatch<'_>) -> Result<(), StorageError> + Send + 'static,
    ) -> Self {
        Self {
            apply: Box::new(apply),
            durable: None,
            size_bytes,
        }
    }

    /// The same, and `durable` is called once after the write is on stable storage, in order, on the
    /// writer's thread. It must not block.
    #[must_use]
    pub fn on_durable(self, durable: impl FnOnce() + Send + 'static) -> Self {
        Self {
            durable: Some(Box::new(durable)),
            ..self
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Whether it may wait for the next forced write of something else.
    pub(crate) fn can_wait(&self) -> bool {
        self.durable.is_none()
    }

    pub(crate) fn into_parts(self) -> (Apply, Option<Durable>) {
        (self.apply, self.durable)
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write")
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}
