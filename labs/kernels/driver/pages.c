// Drives a kernel's page allocator through kallocn and kfreen with the workloads of reference-kernel/abi/src/workload,
// and reports every operation as records (reference-kernel/abi/src/record.rs). It judges nothing but what only the
// guest can see: memory written is memory read back.
//
// The workloads draw the same numbers as those in Rust, for the host draws them again; a change there is one here.

#include "draw.h"
#include "report.h"
#include "script.h"

enum {
  GRADER_MOST_HELD = 8192,
  GRADER_MOST_BOOT = 4096,
  GRADER_KERNEL = 255,
  GRADER_MAX_ORDER = 10,
};

struct operation {
  u8 kind, client;
  u32 instructions;
  u64 pages, address;
};

// What the kernel did before the script runs, and then what waits for its record.
static struct operation noted[GRADER_MOST_BOOT];
static u64 noted_count, noted_from, noted_lost;

static const char *refusal(u64 pages, u64 largest) {
  // The interface has one answer for all reasons, so the reason is the one that applies.
  return pages == 0 ? "zero" : pages > largest ? "too-large" : "exhausted";
}

static u64 largest_request;

static void print_noted(void) {
  u64 index = 0;
  while (index < noted_count) {
    begin_record("ops");
    print(",\"from\":%u,\"ops\":[", noted_from + index);
    for (u64 within = 0; within < GRADER_PER_RECORD && index < noted_count; within++, index++) {
      struct operation *operation = &noted[index];
      print("%s[\"%s\",%u,0,%u,%u,", within ? "," : "", operation->kind == 'a' ? "a" : "f",
            (u64)operation->client, (u64)operation->instructions, operation->pages);
      if (operation->kind == 'f')
        print("%u,\"ok\"]", operation->address);
      else if (operation->address)
        print("%u]", operation->address);
      else
        print("\"%s\"]", refusal(operation->pages, largest_request));
    }
    print("]");
    end_record();
  }
  if (noted_lost) {
    begin_record("lost");
    print(",\"operations\":%u", noted_lost);
    end_record();
  }
  noted_from += noted_count;
  noted_count = noted_lost = 0;
}

static int booted;

static void note(u8 kind, u8 client, u64 instructions, u64 pages, void *address) {
  if (booted && noted_count == GRADER_PER_RECORD)
    print_noted();
  if (noted_count == GRADER_MOST_BOOT) {
    noted_lost++;
    return;
  }
  GRADER_MARK(GRADER_MARK_NOTED);
  noted[noted_count++] = (struct operation){kind, client, (u32)instructions, pages, (u64)address};
}

void grader_note_allocate(unsigned long pages, void *address) { note('a', GRADER_KERNEL, 0, pages, address); }

void grader_note_free(unsigned long pages, void *address) { note('f', GRADER_KERNEL, 0, pages, address); }

// ---- the allocator ----------------------------------------------------------------------------------------------

static u64 operations, damaged_pages;

static void *request(u8 client, u64 pages) {
  u64 before = grader_instructions();
  void *address = kallocn(pages);
  note('a', client, grader_instructions() - before, pages, address);
  return address;
}

static void give_back(u8 client, void *address, u64 pages) {
  u64 before = grader_instructions();
  kfreen(address, pages);
  note('f', client, grader_instructions() - before, pages, address);
}

// Only memory that is the allocator's to give is touched, whatever it answers.
static int is_sane(void *address, u64 pages) {
  u64 start = (u64)address, first = grader_memory_start(), end = grader_memory_end();
  return start % GRADER_PAGE == 0 && start >= first && start < end && pages <= (end - start) / GRADER_PAGE;
}

// Something else in each page of each block.
static u64 stamp_of(void *address, u64 pages, u64 page) {
  return ((u64)address + page * GRADER_PAGE) * 0x9e3779b97f4a7c15 ^ pages;
}

static void stamp(void *address, u64 pages) {
  for (u64 page = 0; is_sane(address, pages) && page < pages; page++) {
    volatile u64 *words = (u64 *)((char *)address + page * GRADER_PAGE);
    words[0] = words[GRADER_PAGE / 8 / 2] = words[GRADER_PAGE / 8 - 1] = stamp_of(address, pages, page);
  }
}

static void check(void *address, u64 pages) {
  for (u64 page = 0; is_sane(address, pages) && page < pages; page++) {
    volatile u64 *words = (u64 *)((char *)address + page * GRADER_PAGE);
    u64 due = stamp_of(address, pages, page);
    if (words[0] != due || words[GRADER_PAGE / 8 / 2] != due || words[GRADER_PAGE / 8 - 1] != due) {
      GRADER_MARK(GRADER_MARK_DAMAGED);
      damaged_pages++;
    }
  }
}

// ---- workloads, as abi::workload draws them ---------------------------------------------------------------------

static struct draw numbers;

static u32 draw_order(u32 largest) {
  u64 bits = draw(&numbers);
  u32 ones = 0;
  while (ones < largest && bits >> ones & 1)
    ones++;
  return ones;
}

static u64 draw_length(u32 largest) { return 1 + below(&numbers, 2ul << draw_order(largest)); }

static struct held {
  void *address;
  u64 pages;
} held[GRADER_MOST_HELD];

static u64 held_count, held_pages;

static int take(u64 pages) {
  void *address = request(0, pages);
  operations++;
  if (!address)
    return 0;
  stamp(address, pages);
  held[held_count++] = (struct held){address, pages};
  held_pages += pages;
  return 1;
}

static void give(struct held block) {
  held_pages -= block.pages;
  check(block.address, block.pages);
  give_back(0, block.address, block.pages);
  operations++;
}

static struct held swap_remove(u64 index) {
  struct held block = held[index];
  held[index] = held[--held_count];
  return block;
}

static void give_any(void) {
  u64 index = below(&numbers, held_count);
  give(swap_remove(index));
}

static void give_all(void) {
  while (held_count)
    give_any();
}

static void give_longer_than(u64 pages) {
  for (u64 index = 0; index < held_count;)
    if (held[index].pages > pages)
      give(swap_remove(index));
    else
      index++;
}

static void shuffle(void) {
  for (u64 last = held_count; last-- > 1;) {
    u64 other = below(&numbers, last + 1);
    struct held block = held[last];
    held[last] = held[other];
    held[other] = block;
  }
}

static void blocks(u64 count, u64 hold, int any_size) {
  for (u64 operation = 0; operation < count; operation++) {
    int filling = operation / 256 % 2 == 0;
    u64 takes = any_size ? (filling ? 6 : 2) : (filling ? 5 : 3);
    int wanted = below(&numbers, 8) < takes;
    if (!held_count || (wanted && held_count < GRADER_MOST_HELD)) {
      u64 pages = any_size ? draw_length(8) : 1ul << draw_order(GRADER_MAX_ORDER);
      if (held_pages + pages <= hold) {
        take(pages);
        continue;
      }
    }
    if (held_count)
      give_any();
  }
  give_all();
}

static void holes(void) {
  enum { PIN = 1, LONGEST = 40, HOLES = 120 };
  for (int hole = 0; hole < HOLES; hole++)
    if (!take(PIN + 1 + below(&numbers, LONGEST - PIN)) || !take(PIN))
      break;
  shuffle();
  give_longer_than(PIN);
  for (int round = 0; round < 3; round++) {
    for (int hole = 0; hole < HOLES; hole++) {
      take(PIN + 1 + below(&numbers, LONGEST - PIN));
      if (below(&numbers, 3) == 0 && held_count)
        give_any();
    }
    shuffle();
    give_longer_than(PIN);
  }
  give_all();
}

static u64 longest(u8 client, int bits) {
  u64 found = 0;
  for (int bit = bits - 1; bit >= 0; bit--) {
    u64 pages = found | 1ul << bit;
    void *address = request(client, pages);
    operations += client != GRADER_KERNEL;
    if (address) {
      give_back(client, address, pages);
      operations += client != GRADER_KERNEL;
      found = pages;
    }
  }
  return found;
}

static void refill(void) {
  enum { MOST_REGIONS = 9, BITS_OF_LENGTH = 22 };
  for (int round = 0; round < 2; round++) {
    u64 most = 64;
    while (most > 0 && held_count < GRADER_MOST_HELD)
      if (!take(1 + below(&numbers, most)))
        most /= 2;
    give_all();
    for (int region = 0; region < MOST_REGIONS; region++) {
      u64 pages = longest(0, BITS_OF_LENGTH);
      if (!pages || held_count == GRADER_MOST_HELD)
        break;
      take(pages);
    }
    give_all();
  }
}

// ---- the script -------------------------------------------------------------------------------------------------

// Runs a workload; whether there is one of that name.
static int run_workload(const char *line) {
  u64 count = 2000, hold = ~0ul, seed = 0;
  const char *scenario;
  if (!word(&line, "buddytest") && !word(&line, "extenttest"))
    return 0;
  for (scenario = line; *line && *line != ' ';)
    line++;
  while (*line == ' ')
    line++;
  while (*line) {
    if (word(&line, "--operations"))
      count = number(&line);
    else if (word(&line, "--hold"))
      hold = number(&line);
    else if (word(&line, "--seed"))
      seed = number(&line);
    else if (!word(&line, "--uncounted"))
      return 0;
  }
  numbers = draw_for_client(seed, 0);
  if (word(&scenario, "mixed"))
    blocks(count, hold, 0);
  else if (word(&scenario, "sizes"))
    blocks(count, hold, 1);
  else if (word(&scenario, "holes"))
    holes();
  else if (word(&scenario, "refill"))
    refill();
  else
    return 0;
  return 1;
}

static int run_pages(const char *line) {
  print_noted();
  operations = damaged_pages = 0;
  int known = run_workload(line);
  print_noted();
  begin_record("done");
  print(",\"client\":0,\"operations\":%u", operations);
  end_record();
  print("KTAP version 1\n1..1\n%s 1 client 0 reads what it has written\n", result(damaged_pages != 0));
  if (damaged_pages)
    print("%u pages did not hold what had been written to them\n", damaged_pages);
  return known ? damaged_pages != 0 : GRADER_UNKNOWN;
}

// Which pages the allocator hands out at all: what the kernel has, and whatever else can be taken, in the longest pieces
// first. All of it goes back, and all of it is in the trace.
static void learn_managed(u64 *start, u64 *end) {
  *start = ~0ul, *end = 0;
  for (u64 index = 0; index < noted_count; index++) {
    struct operation *operation = &noted[index];
    if (operation->kind == 'a' && is_sane((void *)operation->address, operation->pages)) {
      u64 first = operation->address, after = first + operation->pages * GRADER_PAGE;
      *start = first < *start ? first : *start;
      *end = after > *end ? after : *end;
    }
  }
  enum { MOST_PIECES = 64 };
  struct held pieces[MOST_PIECES];
  int count = 0, bits = 1;
  while (1ul << bits <= (grader_memory_end() - grader_memory_start()) / GRADER_PAGE)
    bits++;
  while (count < MOST_PIECES) {
    u64 pages = longest(GRADER_KERNEL, bits);
    void *address = pages ? request(GRADER_KERNEL, pages) : 0;
    if (!address)
      break;
    if (is_sane(address, pages)) {
      u64 first = (u64)address, after = first + pages * GRADER_PAGE;
      *start = first < *start ? first : *start;
      *end = after > *end ? after : *end;
    }
    pieces[count++] = (struct held){address, pages};
  }
  while (count)
    count--, give_back(GRADER_KERNEL, pieces[count].address, pieces[count].pages);
}

void grader_run(const char *kernel) {
  u64 start = grader_memory_start(), end = grader_memory_end(), pages = (end - start) / GRADER_PAGE;
  const char *first = grader_script;
  int is_buddy = word(&first, "buddytest"), order = 0;
  u64 managed_start, managed_end;
  learn_managed(&managed_start, &managed_end);
  if (is_buddy && !grader_manages_any_length()) {
    // The largest power of two of pages is what such an allocator can manage, counted from the first.
    while (2ul << order <= pages)
      order++;
    managed_start = start;
    managed_end = start + ((u64)GRADER_PAGE << order);
    pages = 1ul << order;
  } else if (managed_end < managed_start || (managed_end - managed_start) / GRADER_PAGE < pages - grader_pages_kept_back()) {
    // It keeps back more than it may, or handed out nothing: then it is held to all of it.
    managed_start = start;
    managed_end = end;
  }
  if (is_buddy && grader_manages_any_length())
    while (2ul << order <= pages)
      order++;
  largest_request = is_buddy ? 1ul << order : pages;
  u64 region = start;
  if (is_buddy && grader_manages_any_length()) {
    // What it keeps for its books is the course's choice, and no part of what is judged.
    region = managed_start;
    pages = (managed_end - managed_start) / GRADER_PAGE;
  }

  begin_record("boot");
  print(",\"format\":1,\"kernel\":\"%s\",\"harts\":1,\"memory_pages\":%u,\"pages\":\"lab\"", kernel, (end - start) / GRADER_PAGE);
  end_record();
  begin_record("pool");
  print(",\"pool\":\"kernel\",\"allocator\":\"kallocn\",\"max_order\":%u,\"origin\":%u,\"regions\":[[%u,%u,%u,%u]]",
        (u64)(is_buddy ? order : GRADER_MAX_ORDER), is_buddy ? start : 0, region, pages, managed_start,
        (managed_end - managed_start) / GRADER_PAGE);
  end_record();
  booted = 1;

  grader_power_off(run_script(run_pages));
}
