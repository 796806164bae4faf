// Drives a kernel's buffer cache from several harts at once, with the workloads of
// reference-kernel/abi/src/buffer_workload.rs, and reports every operation with the stamps of its begin and its end.
//
// The disk is the driver's own: what a block holds is known, and reading one takes no time.

#include "locks.h"
#include "script.h"

enum {
  BUFFERS_MOST_CLIENTS = 8,
  BUFFERS_MOST_BLOCKS = 4096,
  BUFFERS_MOST_HELD = 3,
  // Words of a block that tell what it holds: the first, and the last of the smallest block that there is.
  BUFFERS_LAST_WORD = 512 / 8 - 1,
};

// Zero as long as nobody wrote to it.
static u64 disk[BUFFERS_MOST_BLOCKS];

static u64 initial_content(u64 block) { return (block + 1) * 0x9e3779b97f4a7c15; }

void grader_disk(unsigned long block, void *data, int write) {
  u64 *words = data;
  if (block >= BUFFERS_MOST_BLOCKS)
    return;
  if (write)
    disk[block] = words[0];
  else
    words[0] = words[BUFFERS_LAST_WORD] = disk[block] ? disk[block] : initial_content(block);
}

struct buffer_operation {
  u64 begin, end, block, buffer, content;
  char kind;
};

// Each client has its share of the memory for traces.
static struct buffer_trace {
  u64 count, lost;
  struct buffer_operation *operations;
} buffer_traces[BUFFERS_MOST_CLIENTS];
static u64 buffer_trace_length;

static void begin_buffer_traces(u64 clients) {
  buffer_trace_length = GRADER_TRACE_BYTES / sizeof(struct buffer_operation) / (clients ? clients : 1);
  for (u64 client = 0; client < clients; client++)
    buffer_traces[client] =
        (struct buffer_trace){.operations = (struct buffer_operation *)trace_memory + client * buffer_trace_length};
}

static struct buffer_workload {
  enum { BUFFERS_MIXED, BUFFERS_CHASE, BUFFERS_PINS, BUFFERS_WARM } scenario;
  u64 operations, clients, blocks, stride, seed;
} buffers_asked;

// What a client has, and what it draws from.
static struct buffer_client {
  struct draw draw, follow;
  u64 written;
  struct {
    u64 block;
    void *buffer;
  } held[BUFFERS_MOST_HELD];
} buffer_clients[BUFFERS_MOST_CLIENTS];

static void note_buffer_operation(u64 client, char kind, u64 begin, u64 block, void *buffer, u64 content) {
  struct buffer_trace *trace = &buffer_traces[client];
  inside[client] = 0;
  if (trace->count == buffer_trace_length) {
    trace->lost++;
    return;
  }
  GRADER_MARK(GRADER_MARK_NOTED);
  trace->operations[trace->count++] = (struct buffer_operation){begin, stamp_now(), block, (u64)buffer, content, kind};
}

static u64 begin_operation(u64 client) {
  u64 begin = stamp_now();
  inside[client] = 1;
  return begin;
}

static void *buffer_of(u64 client, u64 block) {
  for (int at = 0; at < BUFFERS_MOST_HELD; at++)
    if (buffer_clients[client].held[at].buffer && buffer_clients[client].held[at].block == block)
      return buffer_clients[client].held[at].buffer;
  return 0;
}

static void read_block(u64 client, u64 block) {
  u64 begin = begin_operation(client);
  void *buffer = grader_buffer_read(block);
  // A cache that has no buffer to give has said so itself.
  u64 *words = grader_buffer_data(buffer);
  u64 content = words[0] == words[BUFFERS_LAST_WORD] ? words[0] : 0;
  note_buffer_operation(client, 'r', begin, block, buffer, content);
  for (int at = 0; at < BUFFERS_MOST_HELD; at++)
    if (!buffer_clients[client].held[at].buffer) {
      buffer_clients[client].held[at].block = block;
      buffer_clients[client].held[at].buffer = buffer;
      break;
    }
}

static void write_block(u64 client, u64 block, int through) {
  void *buffer = buffer_of(client, block);
  u64 *words = grader_buffer_data(buffer);
  u64 content = (client + 1) << 56 | ++buffer_clients[client].written;
  u64 begin = begin_operation(client);
  words[0] = words[BUFFERS_LAST_WORD] = content;
  if (through)
    grader_buffer_write(buffer);
  note_buffer_operation(client, 'w', begin, block, buffer, content);
}

static void release_block(u64 client, u64 block) {
  void *buffer = buffer_of(client, block);
  for (int at = 0; at < BUFFERS_MOST_HELD; at++)
    if (buffer_clients[client].held[at].buffer == buffer)
      buffer_clients[client].held[at].buffer = 0;
  u64 begin = begin_operation(client);
  grader_buffer_release(buffer);
  note_buffer_operation(client, 'x', begin, block, buffer, 0);
}

static void pin_block(u64 client, u64 block) {
  void *buffer = buffer_of(client, block);
  u64 begin = begin_operation(client);
  grader_buffer_pin(buffer);
  note_buffer_operation(client, 'p', begin, block, buffer, 0);
}

static void unpin_block(u64 client, u64 block) {
  void *buffer = buffer_of(client, block);
  u64 begin = begin_operation(client);
  grader_buffer_unpin(buffer);
  note_buffer_operation(client, 'u', begin, block, buffer, 0);
}

// ---- workloads, as abi::buffer_workload draws them ----------------------------------------------------------------

static u64 block_of(u64 index) { return 1 + index * buffers_asked.stride; }

static void buffers_mixed(u64 client) {
  struct draw *numbers = &buffer_clients[client].draw;
  for (u64 operation = 0; operation < buffers_asked.operations; operation++) {
    u64 most = buffers_asked.blocks / 4, index = below(numbers, most);
    u64 count = 1 + below(numbers, BUFFERS_MOST_HELD), held[BUFFERS_MOST_HELD];
    for (u64 at = 0; at < count; at++) {
      held[at] = block_of(index);
      read_block(client, held[at]);
      if (below(numbers, 3) == 0)
        write_block(client, held[at], 1);
      index += 1 + below(numbers, most);
    }
    while (count-- > 0)
      release_block(client, held[count]);
  }
}

static void buffers_chase(u64 client) {
  struct buffer_client *asked = &buffer_clients[client];
  for (u64 operation = 0; operation < buffers_asked.operations; operation++) {
    u64 block = block_of(below(&asked->follow, buffers_asked.blocks));
    read_block(client, block);
    if (below(&asked->draw, 4) == 0)
      write_block(client, block, 1);
    release_block(client, block);
  }
}

static void buffers_pins(u64 client) {
  u64 clients = buffers_asked.clients, own = block_of(client);
  for (u64 round = 0; round < buffers_asked.operations / 16; round++) {
    read_block(client, own);
    write_block(client, own, 0);
    pin_block(client, own);
    release_block(client, own);
    for (int other = 0; other < 12; other++) {
      u64 block = block_of(clients + below(&buffer_clients[client].draw, buffers_asked.blocks - clients));
      read_block(client, block);
      release_block(client, block);
    }
    read_block(client, own);
    write_block(client, own, 1);
    unpin_block(client, own);
    release_block(client, own);
  }
}

static void buffers_warm(u64 client) {
  for (u64 index = 0; index < buffers_asked.blocks; index++) {
    read_block(client, block_of(index));
    release_block(client, block_of(index));
  }
  for (u64 operation = 0; operation < buffers_asked.operations; operation++) {
    u64 block = block_of(below(&buffer_clients[client].draw, buffers_asked.blocks));
    read_block(client, block);
    release_block(client, block);
  }
}

static void run_buffer_client(u64 client) {
  switch (buffers_asked.scenario) {
  case BUFFERS_MIXED:
    buffers_mixed(client);
    break;
  case BUFFERS_CHASE:
    buffers_chase(client);
    break;
  case BUFFERS_PINS:
    buffers_pins(client);
    break;
  case BUFFERS_WARM:
    buffers_warm(client);
  }
}

// ---- the script -------------------------------------------------------------------------------------------------

static int read_buffer_workload(const char *line) {
  buffers_asked = (struct buffer_workload){.operations = 500, .clients = 1, .blocks = 40, .stride = 1};
  if (word(&line, "mixed"))
    buffers_asked.scenario = BUFFERS_MIXED;
  else if (word(&line, "chase"))
    buffers_asked.scenario = BUFFERS_CHASE;
  else if (word(&line, "pins"))
    buffers_asked.scenario = BUFFERS_PINS;
  else if (word(&line, "warm"))
    buffers_asked.scenario = BUFFERS_WARM;
  else
    return 0;
  while (*line) {
    if (word(&line, "--operations"))
      buffers_asked.operations = number(&line);
    else if (word(&line, "--clients"))
      buffers_asked.clients = number(&line);
    else if (word(&line, "--blocks"))
      buffers_asked.blocks = number(&line);
    else if (word(&line, "--stride"))
      buffers_asked.stride = number(&line);
    else if (word(&line, "--seed"))
      buffers_asked.seed = number(&line);
    else if (!word(&line, "--interleaved"))
      return 0;
  }
  return buffers_asked.clients <= BUFFERS_MOST_CLIENTS &&
         buffers_asked.blocks * buffers_asked.stride < BUFFERS_MOST_BLOCKS;
}

static void print_buffer_trace(u64 client) {
  struct buffer_trace *trace = &buffer_traces[client];
  for (u64 index = 0; index < trace->count;) {
    begin_record("buffers");
    print(",\"client\":%u,\"from\":%u,\"ops\":[", client, index);
    for (u64 within = 0; within < GRADER_PER_RECORD && index < trace->count; within++, index++) {
      struct buffer_operation *operation = &trace->operations[index];
      char kind[2] = {operation->kind};
      print("%s[\"%s\",%u,%u,%u,%u,%u]", within ? "," : "", kind, operation->begin, operation->end, operation->block,
            operation->buffer, operation->content);
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

// Runs `buffertest`, its own name left out; answers the status.
static int run_buffers(const char *line) {
  if (!read_buffer_workload(line))
    return GRADER_UNKNOWN;
  forget_lock_uses();
  on_interrupt = 0;
  part_draw = draw_for_client(buffers_asked.seed, BUFFERS_MOST_CLIENTS + 1);
  begin_buffer_traces(buffers_asked.clients);
  for (u64 client = 0; client < buffers_asked.clients; client++) {
    buffer_clients[client].draw = draw_for_client(buffers_asked.seed, client);
    buffer_clients[client].follow = draw_for_client(buffers_asked.seed, BUFFERS_MOST_CLIENTS);
  }
  on_harts(buffers_asked.clients, run_buffer_client);
  print_lock_uses("buffers", buffers_asked.clients);
  for (u64 client = 0; client < buffers_asked.clients; client++) {
    print_buffer_trace(client);
    begin_record("done");
    print(",\"client\":%u,\"operations\":%u", client, buffer_traces[client].count + buffer_traces[client].lost);
    end_record();
  }
  return 0;
}
