// Drives a kernel's lists of single pages, kalloc and kfree, from several harts at once, with the workloads of
// reference-kernel/abi/src/list_workload.rs, and reports every operation with the stamps of its begin and its end.
//
// The lists get few pages: first every page is taken that can be had, then some go back. What the harts do to each
// other's lists shows only where pages are scarce.

#include "locks.h"
#include "script.h"

enum {
  LISTS_MOST_HELD = 8192,
  LISTS_MOST_PAGES = 1 << 18,
  LISTS_KERNEL = 255,
  LISTS_PAGES = 512,
};

struct list_operation {
  u64 begin, end, address;
  u8 kind, client;
};

// Each hart has its share of the memory for traces.
static struct list_trace {
  u64 count, lost;
  struct list_operation *operations;
} list_traces[GRADER_MOST_HARTS];
static u64 list_trace_length;

static void begin_list_traces(u64 harts) {
  list_trace_length = GRADER_TRACE_BYTES / sizeof(struct list_operation) / (harts ? harts : 1);
  for (u64 hart = 0; hart < harts; hart++)
    list_traces[hart] = (struct list_trace){.operations = (struct list_operation *)trace_memory + hart * list_trace_length};
}

static void note_list_operation(u64 hart, u8 client, u8 kind, u64 begin, u64 end, void *address) {
  struct list_trace *trace = &list_traces[hart];
  if (trace->count == list_trace_length) {
    trace->lost++;
    return;
  }
  GRADER_MARK(GRADER_MARK_NOTED);
  trace->operations[trace->count++] = (struct list_operation){begin, end, (u64)address, kind, client};
}

static void print_list_trace(u64 hart) {
  struct list_trace *trace = &list_traces[hart];
  for (u64 index = 0; index < trace->count;) {
    begin_record("lists");
    print(",\"hart\":%u,\"from\":%u,\"ops\":[", hart, index);
    for (u64 within = 0; within < GRADER_PER_RECORD && index < trace->count; within++, index++) {
      struct list_operation *operation = &trace->operations[index];
      print("%s[\"%s\",%u,0,%u,%u,%u]", within ? "," : "", operation->kind == 'a' ? "a" : "f", (u64)operation->client,
            operation->begin, operation->end, operation->address);
    }
    print("]");
    end_record();
  }
  if (trace->lost) {
    begin_record("lost");
    print(",\"operations\":%u", trace->lost);
    end_record();
  }
}

// ---- the lists --------------------------------------------------------------------------------------------------

static int is_page(void *address) {
  u64 start = (u64)address;
  return start % GRADER_PAGE == 0 && start >= grader_memory_start() && start < grader_memory_end();
}

static void *perform(u64 hart, u8 client, u8 kind, void *address) {
  u64 begin = stamp_now();
  inside[hart] = 1;
  if (kind == 'a')
    address = kalloc();
  else if (is_page(address))
    kfree(address);
  inside[hart] = 0;
  note_list_operation(hart, client, kind, begin, stamp_now(), address);
  return address;
}

static void stamp_page(void *address, u8 client) {
  volatile u64 *words = address;
  for (int at = 0; is_page(address) && at < 3; at++)
    words[at * (GRADER_PAGE / 16 - 1)] = (u64)address * 0x9e3779b97f4a7c15 ^ client;
}

static u64 damaged_list_pages;

static void check_page(void *address, u8 client) {
  volatile u64 *words = address;
  int damaged = 0;
  for (int at = 0; is_page(address) && at < 3; at++)
    damaged |= words[at * (GRADER_PAGE / 16 - 1)] != ((u64)address * 0x9e3779b97f4a7c15 ^ client);
  if (damaged)
    __atomic_fetch_add(&damaged_list_pages, 1, __ATOMIC_RELAXED);
}

// ---- clients, each on a hart of its own, which ask on whatever hart they have moved to ------------------------------

static struct list_workload {
  enum { REACH, MIXED, SCARCE, BENCH } scenario;
  u64 operations, clients, harts, hold, roam, seed, pages;
  int uncounted;
} lists_asked;

static struct list_client {
  struct draw draw;
  u64 home, hart, holding, since_moved, operations;
  void *held[LISTS_MOST_HELD];
  // What it asks of another hart: 1 until that begins to do it, and not 0 until it is done.
  u64 posted;
  u8 kind;
  void *address;
} list_clients[GRADER_MOST_HARTS + 1];

// Does what clients of other harts ask of this one.
static void serve(u64 hart) {
  for (u8 number = 0; number <= lists_asked.clients; number++) {
    struct list_client *client = &list_clients[number];
    if (load(&client->posted) == 1 && client->hart == hart) {
      store(&client->posted, 2);
      client->address = perform(hart, number, client->kind, client->address);
      store(&client->posted, 0);
    }
  }
}

static void *ask(u8 number, u8 kind, void *address) {
  struct list_client *client = &list_clients[number];
  client->operations++;
  serve(client->home);
  if (client->hart == client->home)
    return perform(client->home, number, kind, address);
  client->kind = kind;
  client->address = address;
  store(&client->posted, 1);
  while (load(&client->posted)) {
    grader_relax();
    serve(client->home);
  }
  return client->address;
}

static void move_anywhere(struct list_client *client) { client->hart = below(&client->draw, lists_asked.harts); }

static void roam(struct list_client *client) {
  if (lists_asked.roam && ++client->since_moved > lists_asked.roam) {
    client->since_moved = 1;
    move_anywhere(client);
  }
}

static int take_page(u8 number) {
  struct list_client *client = &list_clients[number];
  roam(client);
  void *page = ask(number, 'a', 0);
  if (!page)
    return 0;
  stamp_page(page, number);
  client->held[client->holding++] = page;
  return 1;
}

static void give_any_page(u8 number) {
  struct list_client *client = &list_clients[number];
  roam(client);
  u64 index = below(&client->draw, client->holding);
  void *page = client->held[index];
  client->held[index] = client->held[--client->holding];
  client->held[client->holding] = page;
  check_page(page, number);
  ask(number, 'f', page);
}

static void give_all_pages(u8 number) {
  while (list_clients[number].holding)
    give_any_page(number);
}

static int is_full(struct list_client *client) {
  return client->holding >= lists_asked.hold || client->holding == LISTS_MOST_HELD;
}

static void take_all_pages(u8 number) {
  while (!is_full(&list_clients[number]) && take_page(number))
    ;
}

static void reach(u8 number) {
  struct list_client *client = &list_clients[number];
  for (u64 hart = 0; hart < lists_asked.harts; hart++) {
    client->hart = hart;
    take_all_pages(number);
    while (client->holding) {
      move_anywhere(client);
      for (u64 left = 1 + below(&client->draw, 32); left > 0 && client->holding; left--)
        give_any_page(number);
    }
  }
}

static void mixed(u8 number, u64 operations) {
  struct list_client *client = &list_clients[number];
  for (u64 operation = 0; operation < operations; operation++) {
    int filling = operation / 128 % 2 == 0;
    int wanted = below(&client->draw, 8) < (filling ? 5 : 3);
    if (!client->holding || (wanted && !is_full(client)))
      take_page(number);
    else
      give_any_page(number);
  }
}

static void scarce(u8 number) {
  struct list_client *client = &list_clients[number];
  for (u64 left = lists_asked.operations / 2; left > 0;) {
    take_all_pages(number);
    if (!is_full(client))
      take_page(number);
    u64 back = 1 + below(&client->draw, client->holding ? client->holding : 1);
    for (u64 given = 0; given < back && given < left && client->holding; given++)
      give_any_page(number);
    left -= back < left ? back : left;
  }
}

static void bench(u8 number) {
  struct list_client *client = &list_clients[number];
  for (u64 count = 0; count < lists_asked.hold / 2; count++)
    take_page(number);
  for (u64 pair = 0; pair < lists_asked.operations / 4; pair++) {
    take_page(number);
    if (client->holding)
      give_any_page(number);
  }
  mixed(number, lists_asked.operations / 2);
  for (u64 round = lists_asked.operations / 2 / (2 * lists_asked.hold); round > 0; round--) {
    take_all_pages(number);
    give_all_pages(number);
  }
}

static void begin_client(u8 number, u64 home) {
  struct list_client *client = &list_clients[number];
  client->draw = draw_for_client(lists_asked.seed, number);
  client->home = home;
  client->hart = lists_asked.harts > 1 && number < lists_asked.clients ? number % lists_asked.harts : home;
  client->holding = client->since_moved = client->operations = 0;
}

static u64 clients_left;

static void run_client(u64 hart) {
  if (hart < lists_asked.clients) {
    switch (lists_asked.scenario) {
    case REACH:
      reach(hart);
      break;
    case MIXED:
      mixed(hart, lists_asked.operations);
      break;
    case SCARCE:
      scarce(hart);
      break;
    case BENCH:
      bench(hart);
    }
    give_all_pages(hart);
    __atomic_fetch_sub(&clients_left, 1, __ATOMIC_ACQ_REL);
  }
  while (load(&clients_left)) {
    grader_relax();
    serve(hart);
  }
}

// When all others are done, one client takes every page; it roams as they did.
static void count_pages(u64 hart) {
  u8 number = lists_asked.clients;
  if (hart == 0) {
    while (list_clients[number].holding < LISTS_MOST_HELD && take_page(number))
      ;
    give_all_pages(number);
    store(&clients_left, 0);
  }
  while (load(&clients_left)) {
    grader_relax();
    serve(hart);
  }
}

// ---- few pages --------------------------------------------------------------------------------------------------

static u8 was_taken[LISTS_MOST_PAGES / 8];
static u64 drain_turn, pages_are_strange;

static u64 page_number(void *address) { return ((u64)address - grader_memory_start()) / GRADER_PAGE; }

static int taken_before(u64 page) { return was_taken[page / 8] >> page % 8 & 1; }

// Each hart in turn takes what it can get.
static void drain(u64 hart) {
  while (load(&drain_turn) != hart)
    grader_relax();
  while (!pages_are_strange) {
    u64 begin = stamp_now();
    void *page = kalloc();
    if (!page)
      break;
    if (!is_page(page) || page_number(page) >= LISTS_MOST_PAGES || taken_before(page_number(page))) {
      // Twice, for the first time is not in the trace.
      if (is_page(page))
        note_list_operation(hart, LISTS_KERNEL, 'a', begin, begin, page);
      note_list_operation(hart, LISTS_KERNEL, 'a', stamp_now(), stamp_now(), page);
      pages_are_strange = 1;
      break;
    }
    was_taken[page_number(page) / 8] |= 1 << page_number(page) % 8;
  }
  store(&drain_turn, hart + 1);
}

static u64 pool_start, pool_pages;

// The last run of pages that is long enough, for what lies at the start of the memory the kernel took first.
static void choose_pages(void) {
  u64 all = (grader_memory_end() - grader_memory_start()) / GRADER_PAGE, run = 0;
  pool_start = grader_memory_start();
  pool_pages = all;
  for (u64 page = all < LISTS_MOST_PAGES ? all : LISTS_MOST_PAGES; page-- > 0 && !pages_are_strange;) {
    run = taken_before(page) ? run + 1 : 0;
    if (run == lists_asked.pages) {
      pool_start = grader_memory_start() + page * GRADER_PAGE;
      pool_pages = run;
      return;
    }
  }
}

static void give_share(u64 hart) {
  for (u64 page = hart; page < pool_pages; page += lists_asked.harts) {
    void *address = (void *)(pool_start + page * GRADER_PAGE);
    if (taken_before(page_number(address)))
      kfree(address);
  }
}

// ---- the script -------------------------------------------------------------------------------------------------

static int read_list_workload(const char *line) {
  lists_asked = (struct list_workload){.operations = 1000, .clients = 1, .harts = 1, .hold = LISTS_MOST_HELD, .pages = LISTS_PAGES};
  if (word(&line, "reach"))
    lists_asked.scenario = REACH;
  else if (word(&line, "mixed"))
    lists_asked.scenario = MIXED;
  else if (word(&line, "scarce"))
    lists_asked.scenario = SCARCE;
  else if (word(&line, "bench"))
    lists_asked.scenario = BENCH;
  else
    return 0;
  while (*line) {
    if (word(&line, "--operations"))
      lists_asked.operations = number(&line);
    else if (word(&line, "--clients"))
      lists_asked.clients = number(&line);
    else if (word(&line, "--harts"))
      lists_asked.harts = number(&line);
    else if (word(&line, "--hold"))
      lists_asked.hold = number(&line);
    else if (word(&line, "--roam"))
      lists_asked.roam = number(&line);
    else if (word(&line, "--pages"))
      lists_asked.pages = number(&line);
    else if (word(&line, "--seed"))
      lists_asked.seed = number(&line);
    else if (!word(&line, "--uncounted") && !word(&line, "--interleaved"))
      return 0;
  }
  // A client has a hart of its own here.
  return lists_asked.harts <= GRADER_MOST_HARTS && lists_asked.clients <= lists_asked.harts;
}

// Runs `kmemtest`, its own name left out; answers the status.
static int run_lists(const char *line) {
  if (!read_list_workload(line))
    return GRADER_UNKNOWN;
  part_draw = draw_for_client(lists_asked.seed, LISTS_KERNEL);
  begin_list_traces(lists_asked.harts);
  on_harts(lists_asked.harts, drain);
  choose_pages();
  begin_record("pool");
  print(",\"pool\":\"kernel\",\"allocator\":\"kalloc\",\"max_order\":0,\"regions\":[[%u,%u,%u,%u]]", pool_start, pool_pages,
        pool_start, pool_pages);
  end_record();
  on_harts(lists_asked.harts, give_share);
  forget_lock_uses();
  on_interrupt = serve;
  clients_left = lists_asked.clients;
  for (u8 client = 0; client < lists_asked.clients; client++)
    begin_client(client, client);
  on_harts(lists_asked.harts, run_client);
  print_lock_uses("lists", lists_asked.harts);
  clients_left = 1;
  begin_client(lists_asked.clients, 0);
  on_harts(lists_asked.harts, count_pages);
  for (u64 hart = 0; hart < lists_asked.harts; hart++)
    print_list_trace(hart);
  print("KTAP version 1\n1..%u\n", lists_asked.clients + 1);
  for (u64 client = 0; client < lists_asked.clients; client++) {
    begin_record("done");
    print(",\"client\":%u,\"operations\":%u", client, list_clients[client].operations);
    end_record();
    print("%s %u client %u completes its workload\n", result(0), client + 1, client);
  }
  print("%s %u pages hold what was written to them\n", result(damaged_list_pages != 0), lists_asked.clients + 1);
  if (damaged_list_pages)
    print("# %u pages came back with something else in them\n", damaged_list_pages);
  return damaged_list_pages != 0;
}
