// Slices: the rows of one state by spans of event or processing time that come and go as a whole (the slices of
// windows).
//
// Each slice, numbered by the end of its span, is a small table of its own: rows of one slice lie together, a lookup
// looks at nothing else, and a slice that has expired goes with its pages, row by row unseen. In a checkpoint each is
// an entry of its own, so pages stay in the file they were written to as those of every table.
//
// Lifetime: owned by the TaskState. Threading: task thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "state/table.h"

namespace drey::state {

class TaskState;

class Slices {
 public:
  // By number, ascending. A table stays where it is until it is erased.
  const std::map<std::int64_t, Table*>& tables() const { return tables_; }
  // Finds or makes it.
  Table& table(std::int64_t number);
  void erase(std::int64_t number);

 private:
  friend class TaskState;
  Slices(TaskState& state, std::string prefix, std::string owner, TableSpec spec);
  Status restore_grouped(Table& all);

  TaskState& state_;
  const std::string prefix_;  // of the names of its entries; the number follows
  const std::string owner_;
  const TableSpec spec_;
  std::map<std::int64_t, Table*> tables_;
};

}  // namespace drey::state
