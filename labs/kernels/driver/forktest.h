// What spaces.c, in the kernel, and forktest.c, in processes, say to each other.

#ifndef GRADER_FORKTEST_H
#define GRADER_FORKTEST_H

// The number of the system call by which a process says what it did, and is told what to do.
enum { FORKTEST_CALL = 1000 };

// What a process says.
enum { FORKTEST_HELLO = 1, FORKTEST_NEWBORN, FORKTEST_DONE, FORKTEST_REFUSED };

// What it is told.
enum { FORKTEST_STORE = 1, FORKTEST_LOOK, FORKTEST_FORK, FORKTEST_EXIT, FORKTEST_WAIT, FORKTEST_RECEIVE };

enum {
  // The pages of its heap.
  FORKTEST_PAGES = 32,
  // As far above the first of them nothing is.
  FORKTEST_HOLE = 40 * 4096,
};

struct forktest_order {
  unsigned long kind, address, value;
};

#endif
