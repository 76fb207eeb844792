// Rows of a table as a canonical savepoint keeps them: sorted, in columns, by key group; free of pages and slots, so
// that another version, another parallelism and other tools can read them. Internal to state/.
//
//   block := magic u32, rows u32, raw_bytes u32, stored_bytes u32, checksum u64 (XXH3 of what follows), zstd(columns)
//   columns := [groups: i64 each], key sizes: u32 each, [value sizes: u32 each], keys, values
//
// A block holds rows of one key group, ascending by (group, key bytes); a group has several when it is large. Groups
// are there for grouped tables, value sizes for tables whose values have no fixed size. Key size 0xfffffffe is the null
// key. Integers are little-endian. Where the blocks lie is in the manifest (EntryRecord::blocks), ascending by key
// group.
#pragma once

#include <string>
#include <vector>

#include "env/file_system.h"
#include "state/table.h"
#include "state/task_state_entry.h"

namespace drey::state {

// Writes all rows of the table and notes the blocks; `offset` is where the file ends, before and after.
Status write_rows(const Table& table, std::uint32_t max_parallelism, env::WritableFile& file, std::uint64_t& offset,
                  std::vector<BlockRecord>& blocks);

// Puts the rows of a block into the table. FAILS WITH: kCorrupt naming the file.
Status read_rows(env::ReadableFile& file, const std::string& path, const BlockRecord& block, Table& into);

}  // namespace drey::state
