// ByteStream: the bytes of a file from an offset on, decompressed when its content says zstd or gzip.
//
// Threading: one owner. Errors: kCorrupt for a truncated or damaged archive, naming the file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "env/file_system.h"

namespace drey::connectors::files {

enum class Compression { kNone, kGzip, kZstd };

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Bytes read; 0 at the end.
  virtual Result<std::size_t> read(char* out, std::size_t bytes) = 0;
};

// By content, not by name.
Result<Compression> compression_of(env::FileSystem& files, const std::string& path);
// The same bytes with '\n' for each '\r': for files whose lines end with carriage returns alone. Offsets stay.
std::unique_ptr<ByteStream> with_newlines(std::unique_ptr<ByteStream> stream);
// `offset` counts decompressed bytes.
Result<std::unique_ptr<ByteStream>> open_stream(env::FileSystem& files, const std::string& path,
                                                Compression compression, std::uint64_t offset);

}  // namespace drey::connectors::files
