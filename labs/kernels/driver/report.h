// Prints records as reference-kernel/abi/src/record.rs describes them.

#ifndef GRADER_REPORT_H
#define GRADER_REPORT_H

#include "grader.h"

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

enum { GRADER_PAGE = 4096, GRADER_PER_RECORD = 64 };

static void put_text(const char *text) {
  for (; *text; text++)
    grader_put(*text);
}

static void put_number(u64 number) {
  char digits[20];
  int count = 0;
  do
    digits[count++] = '0' + number % 10;
  while (number /= 10);
  while (count > 0)
    grader_put(digits[--count]);
}

// `%s` and `%u` (of 64 bits).
static void print(const char *format, ...) {
  __builtin_va_list arguments;
  __builtin_va_start(arguments, format);
  for (; *format; format++) {
    if (*format != '%') {
      grader_put(*format);
      continue;
    }
    format++;
    if (*format == 's')
      put_text(__builtin_va_arg(arguments, const char *));
    else
      put_number(__builtin_va_arg(arguments, u64));
  }
  __builtin_va_end(arguments);
}

// Where a program of the script keeps what it will report; there is one at a time. A kernel under test has little to spare:
// MIT's kalloctest wants all but a thousand of its pages to be free, and 300 are in use without any driver.
enum { GRADER_TRACE_BYTES = 768 << 10 };
static u64 trace_memory[GRADER_TRACE_BYTES / sizeof(u64)] __attribute__((unused));

static u64 records;

static void begin_record(const char *kind) {
  // What the kernel printed before may not have ended its line.
  if (records == 0)
    print("\n");
  GRADER_MARK(GRADER_MARK_RECORD);
  print("\x1e{\"n\":%u,\"r\":\"%s\"", records++, kind);
}

// A result of the guest's own checks: a line of KTAP begins with what this prints.
static const char *result(int failed) {
  if (failed)
    GRADER_MARK(GRADER_MARK_FAILED);
  else
    GRADER_MARK(GRADER_MARK_PASSED);
  return failed ? "not ok" : "ok";
}

static void end_record(void) { print("}\n"); }

#endif
