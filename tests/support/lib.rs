//! What the end-to-end tests share: a course, student repositories made on the spot, and a quick way to run `grader`.
