#include "connectors/files/byte_stream.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include <fmt/format.h>

namespace drey::connectors::files {
namespace {

constexpr std::size_t kInputBytes = 128u << 10;

Status damaged(const std::string& path, std::string_view what) {
  return fail(Code::kCorrupt, fmt::format("The compressed file {}: path={}", what, path));
}

class PlainStream final : public ByteStream {
 public:
  PlainStream(std::unique_ptr<env::ReadableFile> file, std::uint64_t offset)
      : file_(std::move(file)), offset_(offset) {}
  Result<std::size_t> read(char* out, std::size_t bytes) override {
    DREY_TRY_ASSIGN(const std::size_t got, file_->read_at(offset_, out, bytes));
    offset_ += got;
    return got;
  }

 private:
  std::unique_ptr<env::ReadableFile> file_;
  std::uint64_t offset_;
};

class ZstdStream final : public ByteStream {
 public:
  ZstdStream(std::unique_ptr<env::ReadableFile> file, std::string path)
      : file_(std::move(file)), path_(std::move(path)), input_(kInputBytes), context_(ZSTD_createDCtx()) {}
  ~ZstdStream() override { ZSTD_freeDCtx(context_); }

  Result<std::size_t> read(char* out, std::size_t bytes) override {
    ZSTD_outBuffer output{out, bytes, 0};
    while (output.pos < bytes) {
      if (position_ == filled_) {
        DREY_TRY_ASSIGN(filled_, file_->read_at(offset_, input_.data(), input_.size()));
        offset_ += filled_;
        position_ = 0;
        if (filled_ == 0) {
          if (hint_ != 0) return damaged(path_, "is truncated");
          break;
        }
      }
      ZSTD_inBuffer input{input_.data(), filled_, position_};
      hint_ = ZSTD_decompressStream(context_, &output, &input);
      position_ = input.pos;
      if (ZSTD_isError(hint_)) return damaged(path_, fmt::format("is damaged ({})", ZSTD_getErrorName(hint_)));
    }
    return output.pos;
  }

 private:
  std::unique_ptr<env::ReadableFile> file_;
  std::string path_;
  std::vector<char> input_;
  ZSTD_DCtx* context_;
  std::uint64_t offset_ = 0;
  std::size_t filled_ = 0;
  std::size_t position_ = 0;
  std::size_t hint_ = 0;
};

class GzipStream final : public ByteStream {
 public:
  GzipStream(std::unique_ptr<env::ReadableFile> file, std::string path)
      : file_(std::move(file)), path_(std::move(path)), input_(kInputBytes) {
    inflateInit2(&z_, 15 + 32);
  }
  ~GzipStream() override { inflateEnd(&z_); }

  Result<std::size_t> read(char* out, std::size_t bytes) override {
    z_.next_out = reinterpret_cast<Bytef*>(out);
    z_.avail_out = static_cast<uInt>(bytes);
    while (z_.avail_out > 0) {
      if (z_.avail_in == 0) {
        DREY_TRY_ASSIGN(const std::size_t got, file_->read_at(offset_, input_.data(), input_.size()));
        offset_ += got;
        z_.next_in = reinterpret_cast<Bytef*>(input_.data());
        z_.avail_in = static_cast<uInt>(got);
        if (got == 0) {
          if (!at_end_) return damaged(path_, "is truncated");
          break;
        }
      }
      if (at_end_) inflateReset(&z_);  // another member follows
      at_end_ = false;
      const int result = inflate(&z_, Z_NO_FLUSH);
      if (result == Z_STREAM_END) {
        at_end_ = true;
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        return damaged(path_, "is damaged");
      }
    }
    return bytes - z_.avail_out;
  }

 private:
  std::unique_ptr<env::ReadableFile> file_;
  std::string path_;
  std::vector<char> input_;
  z_stream z_{};
  std::uint64_t offset_ = 0;
  bool at_end_ = false;
};

class NewlineStream final : public ByteStream {
 public:
  explicit NewlineStream(std::unique_ptr<ByteStream> stream) : stream_(std::move(stream)) {}
  Result<std::size_t> read(char* out, std::size_t bytes) override {
    DREY_TRY_ASSIGN(const std::size_t got, stream_->read(out, bytes));
    std::replace(out, out + got, '\r', '\n');
    return got;
  }

 private:
  std::unique_ptr<ByteStream> stream_;
};

}  // namespace

std::unique_ptr<ByteStream> with_newlines(std::unique_ptr<ByteStream> stream) {
  return std::make_unique<NewlineStream>(std::move(stream));
}

Result<Compression> compression_of(env::FileSystem& files, const std::string& path) {
  DREY_TRY_ASSIGN(auto file, files.open(path));
  unsigned char head[4] = {};
  DREY_TRY_ASSIGN(const std::size_t got, file->read_at(0, reinterpret_cast<char*>(head), sizeof head));
  if (got == 4 && head[0] == 0x28 && head[1] == 0xB5 && head[2] == 0x2F && head[3] == 0xFD) return Compression::kZstd;
  // Zstd's frames for other things may come first.
  if (got == 4 && head[0] >> 4 == 5 && head[1] == 0x2A && head[2] == 0x4D && head[3] == 0x18) return Compression::kZstd;
  if (got >= 2 && head[0] == 0x1F && head[1] == 0x8B) return Compression::kGzip;
  return Compression::kNone;
}

Result<std::unique_ptr<ByteStream>> open_stream(env::FileSystem& files, const std::string& path,
                                                Compression compression, std::uint64_t offset) {
  DREY_TRY_ASSIGN(auto file, files.open(path));
  std::unique_ptr<ByteStream> stream;
  switch (compression) {
    case Compression::kNone:
      return std::unique_ptr<ByteStream>(std::make_unique<PlainStream>(std::move(file), offset));
    case Compression::kZstd:
      stream = std::make_unique<ZstdStream>(std::move(file), path);
      break;
    case Compression::kGzip:
      stream = std::make_unique<GzipStream>(std::move(file), path);
      break;
  }
  std::vector<char> skipped(64u << 10);
  while (offset > 0) {
    DREY_TRY_ASSIGN(const std::size_t got,
                    stream->read(skipped.data(), std::min<std::uint64_t>(offset, skipped.size())));
    if (got == 0)
      return fail(Code::kCorrupt, fmt::format("The file is shorter than when it was read before: path={}", path));
    offset -= got;
  }
  return stream;
}

}  // namespace drey::connectors::files
