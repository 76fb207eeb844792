/* Running a job to its end inside the calling process, without a cluster: what libdrey_embedded exports and
 * <drey/testing.h> calls. Plain C, like abi.h. */
#ifndef DREY_TESTING_ABI_H_
#define DREY_TESTING_ABI_H_

#include "drey/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct drey_test_job {
  uint32_t size;        /* sizeof(drey_test_job) */
  uint32_t parallelism; /* 0: what the job says, else 1 */
  const drey_module* module;
  const char* job; /* the entry; null: the module's only one */
  uint32_t argc;
  uint32_t reserved;
  const char* const* argv;
  int64_t checkpoint_interval_ms; /* 0: only the last checkpoint */
  const char* state_directory;    /* for checkpoints; null: none are made */
  void* self;                     /* first argument of the callbacks; they never overlap */
  void (*rows)(void* self, const char* name, const drey_batch* batch);           /* a batch of a sink.collect */
  void (*accumulator)(void* self, const char* name, int64_t whole, double real); /* at the end */
  void (*failed)(void* self, const char* message);
  /* After a failure the job goes on from its last complete checkpoint, once for each number, at that parallelism.
   * With checkpoints, rows are handed over when a checkpoint covers them: none twice, none lost. */
  uint32_t restart_count;
  const uint32_t* restart_parallelism;
} drey_test_job;

/* Blocks until the job has ended. Returns 0 when it FINISHED; else `failed` was called. */
int drey_test_run(const drey_test_job* job);

#ifdef __cplusplus
}
#endif
#endif /* DREY_TESTING_ABI_H_ */
