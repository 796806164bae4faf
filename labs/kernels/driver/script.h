// Reads the script that the harness writes into the kernel's image, and reports how each of its lines ends.

#ifndef GRADER_SCRIPT_H
#define GRADER_SCRIPT_H

#include "report.h"

enum { GRADER_UNKNOWN = 127 };

// The lines that the harness writes here before it boots the kernel. Not zero, so that it has bytes in the ELF file.
__attribute__((section(".data"), used)) char grader_script[4096] = {'?'};

// Whether the text begins with a word, which is then skipped with the spaces after it.
static int word(const char **text, const char *wanted) {
  const char *at = *text;
  while (*wanted && *at == *wanted)
    at++, wanted++;
  if (*wanted || (*at && *at != ' '))
    return 0;
  while (*at == ' ')
    at++;
  *text = at;
  return 1;
}

static u64 number(const char **text) {
  u64 value = 0;
  for (; **text >= '0' && **text <= '9'; ++*text)
    value = value * 10 + (**text - '0');
  while (**text == ' ')
    ++*text;
  return value;
}

// The most harts that a line of the script asks for, played or not.
static u64 asked_harts(void) {
  u64 most = 1;
  for (const char *at = grader_script; *at; at++) {
    const char *rest = at;
    if (word(&rest, "--harts") || word(&rest, "--clients")) {
      u64 asked = number(&rest);
      most = asked > most ? asked : most;
    }
  }
  return most;
}

static int is_interleaved(void) {
  for (const char *at = grader_script; *at; at++) {
    const char *rest = at;
    if (word(&rest, "--interleaved"))
      return 1;
  }
  return 0;
}

// Runs each line; answers 0 if all of them ended with status 0.
static int run_script(int (*run_line)(const char *line)) {
  int status = 0;
  for (char *line = grader_script; *line;) {
    char *end_of_line = line;
    while (*end_of_line && *end_of_line != '\n')
      end_of_line++;
    char *next = *end_of_line ? end_of_line + 1 : end_of_line;
    *end_of_line = 0;
    begin_record("start");
    print(",\"program\":\"%s\",\"at\":0,\"free_pages\":0", line);
    end_record();
    int ended = run_line(line);
    begin_record("end");
    print(",\"program\":\"%s\",\"status\":%u,\"at\":0,\"free_pages\":0", line, (u64)ended);
    end_record();
    status |= ended != 0;
    line = next;
  }
  begin_record("shutdown");
  print(",\"status\":%u", (u64)status);
  end_record();
  return status;
}

#endif
