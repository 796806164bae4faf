//! Who may use the machine's processors, so that jobs side by side do not crowd each other out.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns on the processors, shared by all jobs of a process.
#[derive(Debug, Clone)]
pub struct Turns {
    all: usize,
    free: Arc<Semaphore>,
}

/// Some processors, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    // None if the turns are closed, which nobody does.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// As many turns as the machine has processors.
    pub fn of_machine() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// So many turns.
    pub fn new(all: usize) -> Self {
        Self { all, free: Arc::new(Semaphore::new(all)) }
    }

    /// How many there are.
    pub fn all(&self) -> usize {
        self.all
    }

    /// Waits for so many processors, or for all where there are fewer. First come, first served, so that a wait for
    /// all of them ends.
    pub async fn take(&self, processors: usize) -> Turn {
        let count = u32::try_from(processors.min(self.all)).unwrap_or(u32::MAX);
        Turn { _permit: Arc::clone(&self.free).acquire_many_owned(count).await.ok() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn whoever_asks_for_all_is_not_starved_by_those_who_ask_for_one() {
        let turns = Turns::new(2);
        let one = turns.take(1).await;
        let everything = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take(8).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let late = tokio::spawn({
            let turns = turns.clone();
            async move { drop(turns.take(1).await) }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!late.is_finished(), "it overtook");
        drop(one);
        drop(everything.await.expect("all turns"));
        late.await.expect("a turn");
    }
}
