//! The `grader` command as students, CI and teaching assistants run it: real builds, real boots.

mod batch;
mod c_fork;
mod c_harts;
mod c_kernel;
mod c_umalloc;
mod cheats;
mod cluster;
mod command;
mod confinement;
mod console;
mod endings;
mod faults;
mod github;
mod handout;
mod interruptions;
mod reports;
mod student;
mod traces;
