// The little of a C library that an allocator calls, over what user/src/umalloc.rs provides. memcpy and its kin are those
// of Rust's own library.

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *grader_sbrk(intptr_t bytes);
void grader_write(const char *text, size_t bytes);
void grader_exit(int status) __attribute__((noreturn));

__attribute__((weak)) void umalloc_init(void);

void grader_init(void) {
  if (umalloc_init)
    umalloc_init();
}

void *sbrk(intptr_t bytes) { return grader_sbrk(bytes); }

int brk(void *end) { return grader_sbrk((char *)end - (char *)grader_sbrk(0)) == (void *)-1 ? -1 : 0; }

int getpagesize(void) { return 4096; }

void exit(int status) { grader_exit(status); }

void abort(void) { grader_exit(134); }

void grader_assert(const char *condition, const char *file, int line) {
  printf("%s:%d: assertion `%s' failed\n", file, line, condition);
  abort();
}

int puts(const char *text) { return printf("%s\n", text); }

static void put_number(unsigned long number, unsigned base, int negative) {
  char digits[24];
  int at = sizeof digits;
  do
    digits[--at] = "0123456789abcdef"[number % base];
  while (number /= base);
  if (negative)
    digits[--at] = '-';
  grader_write(digits + at, sizeof digits - at);
}

// %d %i %u %x %p %c %s %%, with l and z; widths and flags are passed over.
int printf(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  for (; *format; format++) {
    if (*format != '%') {
      grader_write(format, 1);
      continue;
    }
    int is_long = 0;
    for (format++; *format == 'l' || *format == 'z' || (*format >= '0' && *format <= '9') || *format == '-' || *format == '#' || *format == '.'; format++)
      is_long |= *format == 'l' || *format == 'z';
    long number;
    switch (*format) {
    case 'd':
    case 'i':
      number = is_long ? va_arg(arguments, long) : va_arg(arguments, int);
      put_number(number < 0 ? -(unsigned long)number : (unsigned long)number, 10, number < 0);
      break;
    case 'u':
    case 'x':
      put_number(is_long ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned), *format == 'x' ? 16 : 10, 0);
      break;
    case 'p':
      put_number(va_arg(arguments, unsigned long), 16, 0);
      break;
    case 'c': {
      char byte = (char)va_arg(arguments, int);
      grader_write(&byte, 1);
      break;
    }
    case 's': {
      const char *text = va_arg(arguments, const char *);
      for (; text && *text; text++)
        grader_write(text, 1);
      break;
    }
    case 0:
      va_end(arguments);
      return 0;
    default:
      grader_write(format, 1);
    }
  }
  va_end(arguments);
  return 0;
}
