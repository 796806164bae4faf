//! What a batch tells while it works; views listen and nothing comes back.

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// What is to be done is known.
    Begun {
        /// The number of the run.
        run: i64,
        /// Submissions of this run.
        all: usize,
        /// Those of them that were done before it was resumed, or taken over.
        done: usize,
        /// Milliseconds of grading that are expected, where they are known.
        expected: u64,
        /// Submissions that are graded side by side.
        workers: usize,
    },
    /// Somebody's submission is at a stage.
    Stage {
        /// Which of the workers' submissions.
        item: usize,
        /// The student.
        student: &'a str,
        /// The lab.
        lab: &'a str,
        /// What is being done.
        stage: &'a Stage,
    },
    /// A submission is done with.
    Done {
        /// Which.
        item: usize,
        /// The student.
        student: &'a str,
        /// The lab.
        lab: &'a str,
        /// What came of it.
        done: &'a Done,
        /// Milliseconds that it was expected to take.
        expected: u64,
    },
}

/// What is being done with a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Its files are read.
    Looking,
    /// Its kernel is built.
    Building,
    /// This session is booted.
    Booting(String),
    /// It is tried again, after this fault of ours.
    Again(String),
}

/// What came of a submission.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// It has a grade.
    Graded {
        /// As in `97.5 of 100`.
        points: String,
        /// The grade in one word.
        outcome: &'static str,
        /// It was graded before, and is the same.
        cached: bool,
        /// Wall time that it took.
        seconds: f64,
    },
    /// Nothing was handed in, and why.
    Missing(String),
    /// It has no grade, by our fault.
    Failed(String),
}

/// Listens to events.
pub trait View {
    /// Something happened.
    fn event(&mut self, event: &Event<'_>);
    /// Time passed.
    fn tick(&mut self) {}
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl View for Silent {
    fn event(&mut self, _: &Event<'_>) {}
}
