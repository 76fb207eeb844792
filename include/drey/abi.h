/* Drey's plain C interface between the engine (host) and a job's shared object.
 *
 * No C++ type, exception, allocator or thread crosses it. The typed C++ layer in <drey/datastream.h> is
 * built on this file alone; other languages can be, too.
 *
 * Life of a job's code. The shared object exports one symbol:
 *
 *     const drey_module* drey_module_entry(uint32_t host_abi);
 *
 * which lists the jobs it contains. To plan a job, the host (in a short-lived process) calls
 * drey_job.build() with a graph builder. To run it, each TaskManager process calls build() again with
 * the same arguments: this rebuilds the closures. A build() must therefore be a pure function of its
 * arguments; the host compares a digest of both graphs and refuses to run another one.
 *
 * Threading: build() is called on one thread. An operator instance is used by one thread at a time;
 * its calls never overlap and must not block. Host functions may be called only during a call into
 * the instance, with the drey_task that belongs to it.
 *
 * Errors: functions return 0 on success. A callback that fails calls host->fail(task, type, message)
 * first and returns non-zero; the host then fails the task. When a host function returns non-zero the
 * failure is already recorded: return non-zero at once.
 *
 * Versions: the host serves every older minor version of its major version. Structs that may grow
 * start with their size. */
#ifndef DREY_ABI_H_
#define DREY_ABI_H_

#include <stddef.h>
#include <stdint.h>

#define DREY_ABI_MAJOR 1u
#define DREY_ABI_MINOR 0u
#define DREY_ABI_VERSION ((DREY_ABI_MAJOR << 16) | DREY_ABI_MINOR)

#ifdef __cplusplus
extern "C" {
#endif

/* The Arrow C Data Interface (https://arrow.apache.org/docs/format/CDataInterface.html). */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4
struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema** children;
  struct ArrowSchema* dictionary;
  void (*release)(struct ArrowSchema*);
  void* private_data;
};
struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  struct ArrowArray** children;
  struct ArrowArray* dictionary;
  void (*release)(struct ArrowArray*);
  void* private_data;
};
#endif

/* Text and bytes columns hold 16-byte views (Arrow's "vu" / "vz" layout with a pointer in place of
 * buffer index and offset): up to 12 bytes are inline, zero-padded; longer text is a 4-byte prefix and a
 * pointer into one of the batch's arenas. */
typedef struct drey_view {
  uint32_t size;
  union {
    char inlined[12];
    struct __attribute__((packed)) {
      char prefix[4];
      const char* data;
    } far;
  } u;
} __attribute__((aligned(8))) drey_view; /* sizeof 16 */
#define DREY_VIEW_INLINE_MAX 12u

typedef struct drey_span {
  const char* data;
  size_t size;
} drey_span;

/* Keys are views too (drey_keys, drey_timer, fire):
 *   one key column     fixed width: its little-endian bytes (bool: one byte); text and bytes: themselves;
 *                      null: size 0 with the inline bytes ff ff ff ff (differs from the empty text)
 *   more key columns   per column one byte (1 = value, 0 = null: nothing follows), then the fixed-width
 *                      bytes, or u32 size and the text
 * Floating point: -0.0 counts as 0.0 and every NaN as one. Structs and lists cannot be keys. */

/* Formats used in schemas: b (bits) c s i l f g, "d:precision,scale" (64-bit up to 18 digits, else
 * 128-bit), tdD (days, 32-bit), "tsm:UTC" (milliseconds, 64-bit), vu (text), vz (bytes), +s, +l.
 * A record is a "+s" schema; its children are the columns. Array buffers: [0] validity (null = no nulls),
 * [1] values, views or bits; +l: [1] int32 offsets, child in children[0]. */

/* Rows with equal columns. Immutable. Valid during the call that hands it over.
 * Columns are flat: no dictionary, offset 0. Row i of the batch is physical row selection[i], or i when
 * selection is null. */
typedef struct drey_batch {
  uint32_t physical_rows;    /* length of the columns */
  uint32_t rows;             /* rows that count */
  const uint32_t* selection; /* `rows` entries, ascending; null: all */
  uint32_t column_count;
  uint32_t arena_count;
  struct ArrowArray* const* columns;
  const int64_t* row_times; /* per physical row, event time in ms; null: rows have none */
  const int8_t* row_kinds;  /* per physical row: 0 +I, 1 -U, 2 +U, 3 -D; null: all +I */
  const drey_span* arenas;  /* memory that far views of this batch point into */
} drey_batch;

/* A batch under construction, from host->batch_begin. The layer writes rows 0..capacity-1 of each column
 * and then sets rows. Validity bitmaps (bit set = value present) come with all bits set; the layer clears
 * bits and sets has_nulls. Text is written as views; far views must point into an arena of the batch
 * that is being processed, or into memory from host->text. */
typedef struct drey_builder_column {
  void* values; /* fixed-width values, views, or bits; for +l: int32 offsets (rows + 1) */
  uint64_t* validity;
  uint32_t has_nulls;
  uint32_t child_count;
  uint32_t child_capacity;              /* +l: room in children; grow with host->list_reserve */
  uint32_t child_rows;                  /* +l: set by the layer */
  struct drey_builder_column* children; /* +s: one a field; +l: one */
} drey_builder_column;

typedef struct drey_builder {
  uint32_t capacity;
  uint32_t rows; /* set by the layer before emit */
  uint32_t column_count;
  uint32_t has_row_times; /* set by the layer when it wrote row_times */
  uint32_t has_row_kinds; /* likewise */
  uint32_t reserved;
  drey_builder_column* columns;
  int64_t* row_times; /* room for capacity values, always there */
  int8_t* row_kinds;
  void* host;
} drey_builder;

typedef struct drey_task drey_task;   /* one operator instance of one subtask */
typedef struct drey_state drey_state; /* one registered state of it */
typedef struct drey_graph drey_graph;

typedef enum drey_state_kind {
  DREY_STATE_VALUE = 0,          /* key -> bytes */
  DREY_STATE_LIST = 1,           /* key -> sequence of byte strings */
  DREY_STATE_MAP = 2,            /* key -> (bytes -> bytes) */
  DREY_STATE_OPERATOR_LIST = 3,  /* per subtask: list, redistributed evenly on restore */
  DREY_STATE_OPERATOR_UNION = 4, /* per subtask: list, all to all on restore */
  DREY_STATE_BROADCAST = 5       /* bytes -> bytes, equal on every subtask */
} drey_state_kind;

typedef struct drey_state_spec {
  uint32_t size; /* sizeof(drey_state_spec) */
  drey_state_kind kind;
  const char* name;     /* unique within the operator */
  uint32_t fixed_bytes; /* VALUE: > 0 = each value is exactly so many bytes, reached in place */
  uint32_t reserved;
  const struct ArrowSchema* value; /* what the bytes mean; may be null (opaque) */
  const struct ArrowSchema* map_key;
} drey_state_spec;

typedef enum drey_time_kind { DREY_EVENT_TIME = 0, DREY_PROCESSING_TIME = 1 } drey_time_kind;

typedef struct drey_timer {
  int64_t time;  /* ms */
  drey_view key; /* far views point into state: valid during the call */
  uint64_t hash;
  uint32_t kind; /* drey_time_kind */
  uint32_t reserved;
} drey_timer;

typedef enum drey_accumulator_kind {
  DREY_LONG_COUNTER = 0,
  DREY_DOUBLE_COUNTER = 1,
  DREY_LONG_MAX = 2,
  DREY_LONG_MIN = 3
} drey_accumulator_kind;

typedef enum drey_metric_kind { DREY_COUNTER = 0, DREY_GAUGE = 1, DREY_METER = 2 } drey_metric_kind;

/* What the engine offers to operator instances. */
typedef struct drey_host {
  uint32_t size;
  uint32_t abi;

  /* Records the reason of a failure: type is the name of the exception's class. First one wins. */
  void (*fail)(drey_task*, const char* type, const char* message);
  void (*log)(drey_task*, int level /* 0 debug .. 3 error */, const char* message);

  /* Output. `output` 0 is the main one, then side outputs in order of declaration. */
  drey_builder* (*batch_begin)(drey_task*, uint32_t output, uint32_t capacity);
  int (*batch_emit)(drey_task*, uint32_t output, drey_builder*); /* takes the builder */
  void (*batch_drop)(drey_task*, drey_builder*);
  /* Passes rows of the batch being processed on as they are; ids are physical rows, ascending. */
  int (*emit_rows)(drey_task*, uint32_t output, const drey_batch*, const uint32_t* ids, uint32_t count);
  /* Memory for `size` bytes of text that lives as long as the batch. */
  char* (*text)(drey_task*, drey_builder*, size_t size);
  int (*list_reserve)(drey_task*, drey_builder*, drey_builder_column* list, uint32_t child_capacity);

  /* State. Keys are views; `hashes` belong to them (from drey_keys or drey_timer). */
  drey_state* (*state_open)(drey_task*, const drey_state_spec*);
  /* VALUE with fixed_bytes: addresses of the values of n keys, 8-byte aligned, writable until the call into
   * the instance returns or a key of this state is erased. With upsert, absent keys are created zeroed
   * and fresh[i] is 1; without, rows[i] is null. Equal keys give equal addresses; only the first is
   * fresh. fresh may be null. */
  int (*state_rows)(drey_state*, uint32_t n, const drey_view* keys, const uint64_t* hashes, int upsert, void** rows,
                    uint8_t* fresh);
  /* VALUE without fixed_bytes; *value is valid until the next call on this state. Returns 1 when absent. */
  int (*value_get)(drey_state*, const drey_view* key, uint64_t hash, drey_span* value);
  int (*value_put)(drey_state*, const drey_view* key, uint64_t hash, drey_span value);
  int (*state_clear)(drey_state*, const drey_view* key, uint64_t hash); /* any keyed kind */
  int (*list_add)(drey_state*, const drey_view* key, uint64_t hash, drey_span element);
  /* Calls visit for each element in order; a non-zero return stops and is returned. visit may emit, but
   * not change this state. */
  int (*list_each)(drey_state*, const drey_view* key, uint64_t hash, int (*visit)(void* self, drey_span element),
                   void* self);
  int (*list_assign)(drey_state*, const drey_view* key, uint64_t hash, uint32_t n, const drey_span* elements);
  /* MAP; for BROADCAST pass key null, hash 0. map_get returns 1 when absent. */
  int (*map_get)(drey_state*, const drey_view* key, uint64_t hash, drey_span map_key, drey_span* value);
  int (*map_put)(drey_state*, const drey_view* key, uint64_t hash, drey_span map_key, drey_span value);
  int (*map_remove)(drey_state*, const drey_view* key, uint64_t hash, drey_span map_key);
  int (*map_each)(drey_state*, const drey_view* key, uint64_t hash,
                  int (*visit)(void* self, drey_span map_key, drey_span value), void* self);
  /* OPERATOR_LIST and OPERATOR_UNION: the whole list; read it at open, replace it in snapshot. */
  int (*operator_list_each)(drey_state*, int (*visit)(void* self, drey_span element), void* self);
  int (*operator_list_assign)(drey_state*, uint32_t n, const drey_span* elements);

  /* Timers of keyed operators: one per (key, kind, time). */
  int (*timer_set)(drey_task*, drey_time_kind, const drey_view* key, uint64_t hash, int64_t time);
  int (*timer_delete)(drey_task*, drey_time_kind, const drey_view* key, uint64_t hash, int64_t time);
  int64_t (*watermark)(drey_task*);       /* current event time */
  int64_t (*processing_time)(drey_task*); /* ms */

  uint32_t (*subtask_index)(drey_task*);
  uint32_t (*parallelism)(drey_task*);
  uint32_t (*attempt)(drey_task*);
  void (*accumulator_add)(drey_task*, const char* name, drey_accumulator_kind, int64_t, double);
  /* A cell that the instance writes and the engine reads at any time; lives as long as the instance. */
  int64_t* (*metric)(drey_task*, const char* name, drey_metric_kind);
  /* Hash of a key view, as used for partitioning. */
  uint64_t (*hash_key)(const drey_view* key);
} drey_host;

/* Keys of a batch's rows (entry i belongs to row i, not to physical row i). */
typedef struct drey_keys {
  const drey_view* keys;
  const uint64_t* hashes;
} drey_keys;

typedef struct drey_window {
  int64_t start; /* ms */
  int64_t end;   /* exclusive. Global window: INT64_MIN, INT64_MAX */
} drey_window;

/* What a custom trigger sees of one (key, window), and what it may change. */
typedef struct drey_trigger {
  drey_window window;
  int64_t time;            /* an element: its event time (DREY_NO_TIME: it has none); a timer: its time */
  int64_t watermark;       /* current event time */
  int64_t processing_time; /* ms */
  int64_t count;           /* rows since the window began, fired or was purged, this one included */
  int64_t event_timer;     /* in, out: when to be called again; at most one of a kind a window */
  int64_t processing_timer;
  void* state; /* option trigger_bytes: so many bytes, 8-byte aligned, zeroes at first */
} drey_trigger;
#define DREY_NO_TIME INT64_MIN
typedef enum drey_trigger_event {
  DREY_ON_ELEMENT = 0, /* two windows that have been merged have no timers: set them here */
  DREY_ON_EVENT_TIME = 1,
  DREY_ON_PROCESSING_TIME = 2
} drey_trigger_event;

/* Functions of one operator. Members that an operator kind does not need are null. `closure` is what
 * build() handed over; `self` is the instance of one subtask. */
typedef struct drey_functions {
  uint32_t size;
  uint32_t reserved;
  void* (*create)(const void* closure, drey_task*, const drey_host*); /* null after host->fail */
  void (*destroy)(void* self);
  int (*open)(void* self);
  /* Kind user: input 0 or 1; keys null unless that input is keyed. */
  int (*process)(void* self, uint32_t input, const drey_batch*, const drey_keys* keys);
  int (*on_timers)(void* self, uint32_t n, const drey_timer*); /* due ones, ascending by time */
  int (*on_watermark)(void* self, int64_t watermark);
  int (*on_input_end)(void* self, uint32_t input);    /* again after a restore, if it had ended before */
  int (*snapshot)(void* self, int64_t checkpoint_id); /* replace operator lists now */
  int (*on_checkpoint_complete)(void* self, int64_t checkpoint_id);
  int (*finish)(void* self); /* all inputs ended; may emit */

  /* Kind window: one accumulator per (key, window). Fixed: accumulator_bytes in place; rows[i] is the
   * accumulator of physical row ids[i]; fresh[i]: zeroed, to be initialised first. One row may appear
   * for several ids. */
  int (*accumulate)(void* self, const drey_batch*, uint32_t n, const uint32_t* ids, void* const* rows,
                    const uint8_t* fresh);
  int (*merge)(void* self, void* into, const void* from);
  /* Encoded accumulators (accumulator_bytes 0): current bytes in (empty: fresh), new bytes out, valid
   * until the next call. */
  int (*accumulate_encoded)(void* self, const drey_batch*, uint32_t id, drey_span before, drey_span* after);
  int (*merge_encoded)(void* self, drey_span a, drey_span b, drey_span* merged);
  /* Option accumulate=elements: the bytes of one element; the accumulator is all of them, each as
   * u32 size (native order) and bytes, in order of arrival (sliding windows: within each slice of
   * gcd(size, slide), the slices in order of time). */
  int (*encode_element)(void* self, const drey_batch*, uint32_t id, drey_span* element);
  /* n results of one window; accumulators[i] points to the fixed bytes, or to a drey_span. Emit with
   * event time window.end - 1. */
  int (*fire)(void* self, drey_window, uint32_t n, const drey_view* keys, const void* const* accumulators);
  /* Kind watermarks: event time of each row (batch->rows entries). */
  int (*row_times)(void* self, const drey_batch*, int64_t* times);
  /* Kind window with trigger=custom: after an element (row `id` of the batch), or when a timer of the window
   * is due (batch null). 0 continue, 1 fire, 2 purge, 3 both; -1 after a failure. */
  int (*on_trigger)(void* self, drey_trigger_event, const drey_batch*, uint32_t id, drey_trigger*);
  /* Merges the trigger_bytes of two windows that become one (session windows). */
  int (*merge_trigger)(void* self, void* into, const void* from);
  /* Partitioner of an edge: target of each row (batch->rows entries), 0 .. targets-1. */
  int (*partition)(void* self, const drey_batch*, uint32_t targets, uint32_t* out);
  /* Kind source.generator: writes rows number first .. first + count - 1 into the builder. */
  int (*generate)(void* self, drey_builder*, int64_t first, uint32_t count);
} drey_functions;

/* --- Building the graph -------------------------------------------------------------------------- */

/* One operator. Strings are copied. `options` are pairs key, value. Kinds that the host knows and their
 * options: docs/reference/operators.md. Kind "user" runs `functions`. */
typedef struct drey_operator_spec {
  uint32_t size;
  uint32_t output_count; /* 1 + side outputs; 0 for sinks */
  const char* kind;
  const char* name;
  const char* uid;                          /* null: none given */
  const char* slot_sharing_group;           /* null: inherited */
  int32_t parallelism;                      /* 0: default */
  int32_t max_parallelism;                  /* 0: derived */
  int32_t chaining;                         /* 0 always, 1 head (starts a chain), 2 never */
  uint32_t accumulator_bytes;               /* kind window: fixed size, 0: encoded */
  const struct ArrowSchema* const* outputs; /* output_count record schemas */
  const char* const* options;
  uint32_t option_count; /* pairs */
  uint32_t reserved;
  const drey_functions* functions; /* null for kinds without user code; static storage */
  void* closure;                   /* the host calls release_closure (if set) when the graph goes */
  void (*release_closure)(void*);
} drey_operator_spec;

typedef enum drey_partitioner {
  DREY_FORWARD = 0 /* REBALANCE when the parallelisms differ */,
  DREY_REBALANCE = 1,
  DREY_RESCALE = 2,
  DREY_HASH = 3,
  DREY_BROADCAST = 4,
  DREY_GLOBAL = 5,
  DREY_SHUFFLE = 6,
  DREY_CUSTOM = 7
} drey_partitioner;

typedef struct drey_edge_spec {
  uint32_t size;
  uint32_t from; /* operator number */
  uint32_t output;
  uint32_t to;
  uint32_t input; /* 0 or 1; several edges may enter one input (union) */
  drey_partitioner partitioner;
  const uint32_t* key_columns; /* HASH: columns of the output that make the key */
  uint32_t key_column_count;
  uint32_t reserved;
  const drey_functions* functions; /* CUSTOM: create, destroy, partition */
  void* closure;
  void (*release_closure)(void*);
} drey_edge_spec;

typedef struct drey_graph_builder {
  uint32_t size;
  uint32_t abi;
  /* Returns the operator's number (0, 1, ...), or UINT32_MAX after a failure that is already recorded. */
  uint32_t (*add_operator)(drey_graph*, const drey_operator_spec*);
  int (*add_edge)(drey_graph*, const drey_edge_spec*);
  /* Job settings by Flink's option names; also "pipeline.name". */
  int (*set)(drey_graph*, const char* key, const char* value);
  /* The value in force (job, then cluster configuration), or null; valid until the next call. */
  const char* (*get)(drey_graph*, const char* key);
  void (*fail)(drey_graph*, const char* type, const char* message);
} drey_graph_builder;

typedef struct drey_job {
  const char* name; /* the entry, as the manifest names it */
  const char* description;
  int (*build)(drey_graph*, const drey_graph_builder*, uint32_t argc, const char* const* argv);
} drey_job;

typedef struct drey_module {
  uint32_t size;
  uint32_t abi; /* DREY_ABI_VERSION it was compiled with */
  uint32_t job_count;
  uint32_t reserved;
  const drey_job* jobs;
  const char* build_id; /* compiler and library, for messages */
} drey_module;

#define DREY_MODULE_ENTRY "drey_module_entry"
typedef const drey_module* (*drey_module_entry_fn)(uint32_t host_abi);

#ifdef __cplusplus
}
#endif
#endif /* DREY_ABI_H_ */
