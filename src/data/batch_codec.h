// A batch as bytes and back, for channels between processes of one version.
//
// Format, little-endian: u8 version, u8 flags (1 row times, 2 row kinds), u32 rows, u64 bytes (what RowBatch::bytes
// says at the sender: both ends of a channel must count alike), the columns in the schema's order, row times, row
// kinds. A column: u8 has nulls, its validity words if so, then bits as words | values | u32 sizes and texts | u32
// lengths and the child column | the fields. The selection is applied; texts and lists under nulls are not sent.
//
// Decoding trusts nothing: every size is checked against what is left, and bytes that remain are an error. Threading:
// free functions on values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "data/row_batch.h"

namespace drey::data {

// Rows that one encoded batch may hold.
inline constexpr std::uint32_t kEncodedRowsMax = 1u << 20;

// Appends rows `first` .. `first + count - 1` (of those that count). `bytes` is what the decoded batch will say it
// holds. REQUIRES: 0 < count <= kEncodedRowsMax, first + count <= batch.rows(), batch has the schema's columns.
void encode_batch(const RowBatch& batch, const Schema& schema, std::uint32_t first, std::uint32_t count,
                  std::uint64_t bytes, std::string& out);

// FAILS WITH: kCorrupt.
Result<BatchRef> decode_batch(std::string_view encoded, const Schema& schema, BlockPool& pool);

}  // namespace drey::data
