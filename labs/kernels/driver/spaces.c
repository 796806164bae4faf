// Directs processes of the kernel under test, with the workloads of reference-kernel/abi/src/space_workload.rs: they fork,
// store, look, receive what the kernel copies to them, exit and wait, one at a time, and each answer is reported.
//
// The director has a stack of its own. It runs while the process that was told something answers, and goes on as soon as
// it has told somebody the next thing; processes that have nothing to do yield. forktest.c is what they run.

#include "draw.h"
#include "forktest.h"
#include "script.h"
#include "switch.h"

enum { SPACES_MOST_PROCESSES = 8, SPACES_STACK = 16384, SPACES_MOST_COUNTED = 64, SPACES_PAGES = 1024 };

enum { ANSWER_DONE, ANSWER_REFUSED, ANSWER_DIED };

enum { PLACE_TEXT = 256, PLACE_GUARD, PLACE_HOLE, PLACE_BEYOND, PLACE_LAST, PLACES_END };

// ---- who is told what ---------------------------------------------------------------------------------------------

static struct space {
  // What the kernel knows it by, or zero.
  int process;
  int is_alive;
  u8 parent;
  // Zero once it was answered.
  struct forktest_order order;
} spaces[SPACES_MOST_PROCESSES];

static struct saved space_director, space_asker;
static u8 space_stack[SPACES_STACK] __attribute__((aligned(16)));
static u64 space_pages, space_text, space_guard;
static u64 space_answer, space_result;
static int are_spaces_up;

static struct space *space_of(int process) {
  for (int each = 0; each < SPACES_MOST_PROCESSES; each++)
    if (spaces[each].process == process)
      return &spaces[each];
  return 0;
}

// The director goes on with the answer, and comes back when it has told somebody something.
static void answer_order(struct space *space, u64 answer, u64 result) {
  space->order.kind = 0;
  space_answer = answer;
  space_result = result;
  grader_switch(&space_asker, &space_director);
}

static u64 tell(u64 number, u64 kind, u64 address, u64 value) {
  spaces[number].order = (struct forktest_order){kind, address, value};
  grader_switch(&space_director, &space_asker);
  return space_answer;
}

static void direct(void);

void grader_asked(unsigned long *registers) {
  int process = grader_process();
  u64 said = registers[0];
  if (said == FORKTEST_HELLO && !are_spaces_up) {
    are_spaces_up = 1;
    space_pages = registers[1];
    space_text = registers[2];
    space_guard = registers[3] / GRADER_PAGE * GRADER_PAGE - GRADER_PAGE;
    spaces[0] = (struct space){.process = process, .is_alive = 1};
    space_director.registers[0] = (u64)direct;
    space_director.registers[1] = (u64)(space_stack + SPACES_STACK);
    grader_switch(&space_asker, &space_director);
  } else if (said == FORKTEST_DONE || said == FORKTEST_REFUSED) {
    struct space *space = space_of(process);
    if (space && space->order.kind)
      answer_order(space, said == FORKTEST_DONE ? ANSWER_DONE : ANSWER_REFUSED, registers[1]);
  }
  for (;;) {
    // Who was just forked is known as soon as its parent has said who that is.
    struct space *space = space_of(process);
    if (!space || !space->order.kind) {
      grader_yield();
    } else if (space->order.kind == FORKTEST_RECEIVE) {
      int is_refused = grader_copy_out(space->order.address, &space->order.value, 8) != 0;
      answer_order(space, is_refused ? ANSWER_REFUSED : ANSWER_DONE, 0);
    } else {
      registers[0] = space->order.kind;
      registers[1] = space->order.address;
      registers[2] = space->order.value;
      return;
    }
  }
}

void grader_ended(void) {
  struct space *space = space_of(grader_process());
  if (!are_spaces_up || !space || !space->order.kind)
    return;
  space->process = 0;
  answer_order(space, space->order.kind == FORKTEST_EXIT ? ANSWER_DONE : ANSWER_DIED, 0);
}

// ---- what is reported ---------------------------------------------------------------------------------------------

static u64 space_operations;

static void report_operation(const char *letter, u64 process, u64 place, u64 value, u64 answer, u64 frame) {
  begin_record("spaces");
  print(",\"from\":%u,\"ops\":[[\"%s\",%u,%u,%u,%u,%u]]", space_operations++, letter, process, place, value, answer, frame);
  end_record();
}

// Pages that were taken, each with the address of the next one in it.
static void *space_taken;

static u64 take_pages(u64 most) {
  u64 taken = 0;
  for (void **page; taken < most && (page = kalloc()); taken++) {
    *page = space_taken;
    space_taken = page;
  }
  return taken;
}

static void give_pages(u64 count) {
  while (count-- > 0 && space_taken) {
    void **page = space_taken;
    space_taken = *page;
    kfree(page);
  }
}

static u64 count_free_pages(u64 most) {
  u64 count = take_pages(most);
  give_pages(count);
  return count;
}

// ---- the workload -------------------------------------------------------------------------------------------------

static struct {
  enum { SPACES_MIXED, SPACES_BOUNDS, SPACES_SCARCE } scenario;
  u64 operations, processes, pages, seed;
} spaces_asked;

static struct draw space_draw;
static u64 space_stored;
// Set when a process is dead that should not be, or something was refused: the rest is not asked.
static int is_over;

static u64 address_of(u64 place) {
  switch (place) {
  case PLACE_TEXT:
    return space_text;
  case PLACE_GUARD:
    return space_guard;
  case PLACE_HOLE:
    return space_pages + FORKTEST_HOLE;
  case PLACE_BEYOND:
    return 1ul << 38;
  case PLACE_LAST:
    return -4096ul;
  }
  // Two words a page, far from each other.
  return space_pages + place / 2 * GRADER_PAGE + (place % 2 ? GRADER_PAGE - 64 : 64);
}

static u64 order_at(const char *letter, u64 kind, u64 number, u64 place, u64 value) {
  u64 address = address_of(place);
  int process = spaces[number].process;
  u64 answer = tell(number, kind, address, value);
  u64 seen = kind == FORKTEST_LOOK ? space_result : value;
  u64 frame = answer == ANSWER_DONE ? grader_frame(process, address) : count_free_pages(SPACES_MOST_COUNTED);
  if (answer == ANSWER_DIED)
    spaces[number].is_alive = 0;
  report_operation(letter, number, place, seen, answer, frame);
  return answer;
}

static u64 next_value(void) { return (++space_stored + 1) * 0x9e3779b97f4a7c15; }

static u64 store_at(u64 number, u64 place) { return order_at("s", FORKTEST_STORE, number, place, next_value()); }

static u64 receive_at(u64 number, u64 place) { return order_at("r", FORKTEST_RECEIVE, number, place, next_value()); }

static void insist(u64 answer) { is_over |= answer != ANSWER_DONE; }

static void look_at(u64 number, u64 place) {
  if (!is_over)
    insist(order_at("l", FORKTEST_LOOK, number, place, 0));
}

static void look_at_all(u64 number) {
  for (u64 word = 0; word < 2 * spaces_asked.pages; word++)
    look_at(number, word);
  look_at(number, PLACE_TEXT);
}

static void fork_space(u64 parent, u64 child) {
  if (is_over)
    return;
  u64 answer = tell(parent, FORKTEST_FORK, 0, 0);
  report_operation("f", parent, child, 0, answer, answer == ANSWER_DONE ? 0 : count_free_pages(SPACES_MOST_COUNTED));
  insist(answer);
  if (answer != ANSWER_DONE)
    return;
  spaces[child] = (struct space){.process = space_result, .is_alive = 1, .parent = parent};
  for (u64 page = 0; page < spaces_asked.pages; page++)
    report_operation("m", child, 2 * page, 0, 0, grader_frame(spaces[child].process, address_of(2 * page)));
}

static void bury(u64 number) {
  if (is_over)
    return;
  u64 parent = spaces[number].parent;
  spaces[number].is_alive = 0;
  insist(tell(parent, FORKTEST_WAIT, 0, 0));
  report_operation("w", parent, 0, 0, 0, 0);
}

static void order_exit(u64 number) {
  if (is_over)
    return;
  tell(number, FORKTEST_EXIT, 0, 0);
  report_operation("x", number, 0, 0, 0, 0);
}

static void count_pages_of_spaces(void) {
  if (!is_over)
    report_operation("c", 0, 0, count_free_pages(-1ul), 0, 0);
}

static int has_children(u64 number) {
  for (u64 child = 1; child < SPACES_MOST_PROCESSES; child++)
    if (spaces[child].is_alive && spaces[child].parent == number)
      return 1;
  return 0;
}

static u64 draw_word(void) { return below(&space_draw, 2 * spaces_asked.pages); }

static void spaces_mixed(void) {
  u64 most = spaces_asked.processes;
  for (int round = 0; round < 4; round++) {
    for (u64 operation = 0; operation < spaces_asked.operations / 4 && !is_over; operation++) {
      u64 number = below(&space_draw, most), vacant = 1;
      while (!spaces[number].is_alive)
        number = (number + 1) % most;
      while (vacant < most && spaces[vacant].is_alive)
        vacant++;
      u64 what = below(&space_draw, 16);
      if (what <= 2 && vacant < most) {
        fork_space(number, vacant);
      } else if (what == 3 && number != 0 && !has_children(number)) {
        look_at_all(number);
        order_exit(number);
        bury(number);
      } else if (what >= 4 && what <= 7) {
        insist(store_at(number, draw_word()));
      } else if (what >= 8 && what <= 11) {
        insist(receive_at(number, draw_word()));
      } else {
        look_at(number, draw_word());
      }
    }
    for (u64 leaf = 1; leaf < most && !is_over; leaf++) {
      if (!spaces[leaf].is_alive || has_children(leaf))
        continue;
      look_at_all(leaf);
      order_exit(leaf);
      bury(leaf);
      leaf = 0;
    }
    if (round < 3)
      count_pages_of_spaces();
  }
}

static void spaces_bounds(void) {
  for (u64 round = 0; round < spaces_asked.operations / 100; round++) {
    for (u64 place = PLACE_TEXT; place < PLACES_END; place++) {
      for (int by_kernel = 0; by_kernel < 2 && !is_over; by_kernel++) {
        fork_space(0, 1);
        u64 word = draw_word();
        if (!is_over)
          insist(store_at(1, word));
        if (is_over)
          return;
        if ((by_kernel ? receive_at(1, place) : store_at(1, place)) != ANSWER_DIED) {
          look_at(1, word);
          look_at(1, PLACE_TEXT);
          order_exit(1);
        }
        bury(1);
        look_at(0, word);
        look_at(0, PLACE_TEXT);
      }
    }
  }
}

static void spaces_scarce(void) {
  for (u64 round = 0; round < spaces_asked.operations / (4 * spaces_asked.pages + 4) && !is_over; round++) {
    fork_space(0, 1);
    if (is_over)
      return;
    u64 left = below(&space_draw, spaces_asked.pages + 3);
    u64 taken = take_pages(-1ul);
    give_pages(left);
    report_operation("t", 0, 0, left, 0, 0);
    u64 answer = ANSWER_DONE;
    for (u64 page = 0; page < spaces_asked.pages && answer != ANSWER_DIED; page++) {
      u64 value = next_value();
      int by_kernel = below(&space_draw, 3) == 0;
      answer = by_kernel ? order_at("r", FORKTEST_RECEIVE, 1, 2 * page, value) : order_at("s", FORKTEST_STORE, 1, 2 * page, value);
    }
    give_pages(taken - left);
    report_operation("g", 0, 0, 0, 0, 0);
    if (answer != ANSWER_DIED) {
      look_at_all(1);
      order_exit(1);
    }
    bury(1);
    look_at_all(0);
  }
}

// ---- the script -------------------------------------------------------------------------------------------------

static int read_space_workload(const char *line) {
  spaces_asked.operations = 500;
  spaces_asked.processes = spaces_asked.pages = 4;
  spaces_asked.seed = 0;
  if (word(&line, "mixed"))
    spaces_asked.scenario = SPACES_MIXED;
  else if (word(&line, "bounds"))
    spaces_asked.scenario = SPACES_BOUNDS;
  else if (word(&line, "scarce"))
    spaces_asked.scenario = SPACES_SCARCE;
  else
    return 0;
  while (*line) {
    if (word(&line, "--operations"))
      spaces_asked.operations = number(&line);
    else if (word(&line, "--processes"))
      spaces_asked.processes = number(&line);
    else if (word(&line, "--pages"))
      spaces_asked.pages = number(&line);
    else if (word(&line, "--seed"))
      spaces_asked.seed = number(&line);
    else
      return 0;
  }
  return spaces_asked.processes <= SPACES_MOST_PROCESSES && spaces_asked.pages <= FORKTEST_PAGES;
}

static int run_space_line(const char *line) {
  if (!word(&line, "forktest") || !read_space_workload(line))
    return GRADER_UNKNOWN;
  space_draw = draw_for_client(spaces_asked.seed, 0);
  space_stored = 0;
  // A kernel that fills what it hands out would spend its time on counting.
  take_pages(-1ul);
  give_pages(SPACES_PAGES);
  for (u64 word = 0; word < 2 * spaces_asked.pages && !is_over; word++)
    insist(store_at(0, word));
  look_at(0, PLACE_TEXT);
  count_pages_of_spaces();
  switch (spaces_asked.scenario) {
  case SPACES_MIXED:
    spaces_mixed();
    break;
  case SPACES_BOUNDS:
    spaces_bounds();
    break;
  case SPACES_SCARCE:
    spaces_scarce();
  }
  look_at_all(0);
  count_pages_of_spaces();
  begin_record("done");
  print(",\"client\":0,\"operations\":%u", space_operations);
  end_record();
  return is_over;
}

static void direct(void) {
  begin_record("boot");
  print(",\"format\":1,\"kernel\":\"%s\",\"harts\":1,\"memory_pages\":%u,\"pages\":\"lab\"", grader_kernel,
        (grader_memory_end() - grader_memory_start()) / GRADER_PAGE);
  end_record();
  grader_power_off(run_script(run_space_line));
}
