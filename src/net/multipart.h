// MultipartReader: multipart/form-data taken apart while it comes in; files go to disk.
//
// Bounds: 64 parts, heads of 16 KiB, texts of 1 MiB. Threading: one owner.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "env/file_system.h"

namespace drey::net {

// What files of uploads may hold in all: those that come just now and those that were kept.
struct SpoolQuota {
  std::uint64_t bytes_max = UINT64_MAX;
  std::string option;                     // names the bound to who meets it
  std::function<std::uint64_t()> stored;  // bytes that were kept
  std::atomic<std::uint64_t> spooled{0};
};

// A file under a name of ours; goes when the last part that holds it goes, unless it was renamed.
class SpooledFile {
 public:
  SpooledFile(env::FileSystem& files, std::string path, std::shared_ptr<SpoolQuota> quota = nullptr)
      : files_(files),
        path_(std::move(path)),
        quota_(std::move(quota)),
        stored_(quota_ != nullptr && quota_->stored ? quota_->stored() : 0) {}
  ~SpooledFile() {
    static_cast<void>(files_.remove(path_));
    if (quota_ != nullptr) quota_->spooled -= bytes_;
  }
  // FAILS WITH: kResourceExhausted, when the quota does not allow so many bytes more.
  Status grow(std::uint64_t bytes);
  SpooledFile(const SpooledFile&) = delete;
  SpooledFile& operator=(const SpooledFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  env::FileSystem& files_;
  const std::string path_;
  const std::shared_ptr<SpoolQuota> quota_;
  const std::uint64_t stored_;
  std::uint64_t bytes_ = 0;
};

struct Part {
  std::string name;
  std::optional<std::string> file_name;  // as the sender says; a file's mark
  std::string text;                      // unless it is a file
  std::shared_ptr<SpooledFile> file;     // null when files are not kept
  std::uint64_t bytes = 0;
};

// The boundary of a content-type header; nullopt when it is not multipart/form-data with one.
std::optional<std::string> multipart_boundary(std::string_view content_type);

class MultipartReader {
 public:
  // `files` null: what files hold is passed over.
  MultipartReader(const std::string& boundary, env::FileSystem* files, std::string directory,
                  std::shared_ptr<SpoolQuota> quota = nullptr);
  // FAILS WITH: kInvalidArgument (a bound, or no multipart), kResourceExhausted (the quota), kIo
  // and the like (the spool); the rest of the body is then passed over.
  Status feed(std::string_view bytes);
  // The parts that came whole; one that was cut is not among them.
  std::vector<Part> take() { return std::move(parts_); }

 private:
  enum class At { kPart, kMark, kHead, kEnd };
  Status head(std::string_view text);
  Status content(std::string_view bytes);
  Status end_part();

  const std::string mark_;  // CRLF--boundary
  env::FileSystem* const files_;
  const std::string directory_;
  const std::shared_ptr<SpoolQuota> quota_;
  At at_ = At::kPart;
  Status failed_;
  std::string buffer_ = "\r\n";  // so that the first boundary looks like the others
  std::optional<Part> part_;
  std::unique_ptr<env::WritableFile> out_;
  std::vector<Part> parts_;
};

}  // namespace drey::net
