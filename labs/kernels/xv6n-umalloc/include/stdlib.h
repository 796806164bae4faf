#ifndef GRADER_STDLIB_H
#define GRADER_STDLIB_H
#include <stddef.h>
void abort(void) __attribute__((noreturn));
void exit(int status) __attribute__((noreturn));
#endif
