#include "net/multipart.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstring>

namespace drey::net {
namespace {

constexpr std::size_t kPartsMax = 64;
constexpr std::size_t kHeadBytesMax = 16u << 10;
constexpr std::size_t kTextBytesMax = 1u << 20;

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  const auto digit = [](char c) {
    return c <= '9' ? c - '0' : (std::tolower(static_cast<unsigned char>(c)) - 'a' + 10);
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && std::isxdigit(static_cast<unsigned char>(text[i + 1])) != 0 &&
        std::isxdigit(static_cast<unsigned char>(text[i + 2])) != 0) {
      out += static_cast<char>(digit(text[i + 1]) << 4 | digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// The value of a parameter of a header: plain or quoted.
std::optional<std::string> parameter(std::string_view header, std::string_view name) {
  std::size_t at = header.find(';');
  while (at != std::string_view::npos) {
    ++at;
    const std::size_t equals = header.find('=', at);
    if (equals == std::string_view::npos) return std::nullopt;
    const bool found = same(trimmed(header.substr(at, equals - at)), name);
    std::string value;
    at = equals + 1;
    while (at < header.size() && header[at] == ' ') ++at;
    if (at < header.size() && header[at] == '"') {
      for (++at; at < header.size() && header[at] != '"'; ++at) {
        if (header[at] == '\\' && at + 1 < header.size() && header[at + 1] == '"') ++at;
        value += header[at];
      }
    } else {
      const std::size_t end = std::min(header.find(';', at), header.size());
      value = std::string(trimmed(header.substr(at, end - at)));
      at = end;
    }
    if (found) return value;
    at = header.find(';', std::min(at, header.size()));
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> multipart_boundary(std::string_view content_type) {
  if (!same(trimmed(content_type.substr(0, content_type.find(';'))), "multipart/form-data")) return std::nullopt;
  auto boundary = parameter(content_type, "boundary");
  if (!boundary || boundary->empty() || boundary->size() > 200) return std::nullopt;
  return boundary;
}

Status SpooledFile::grow(std::uint64_t bytes) {
  if (quota_ == nullptr) return {};
  bytes_ += bytes;
  const std::uint64_t held = stored_ + (quota_->spooled += bytes);
  if (held <= quota_->bytes_max) return {};
  return fail(Code::kResourceExhausted,
              fmt::format("Files that were uploaded may have {} bytes in all, and {} are held. Delete "
                          "some, or raise {}",
                          quota_->bytes_max, held - bytes, quota_->option));
}

MultipartReader::MultipartReader(const std::string& boundary, env::FileSystem* files, std::string directory,
                                 std::shared_ptr<SpoolQuota> quota)
    : mark_("\r\n--" + boundary), files_(files), directory_(std::move(directory)), quota_(std::move(quota)) {}

Status MultipartReader::feed(std::string_view bytes) {
  if (!failed_.ok() || at_ == At::kEnd) return failed_;
  if (at_ == At::kPart && buffer_.size() < mark_.size() && bytes.size() >= mark_.size()) {
    // Most of a long file passes through without a copy: only where two pieces meet a mark may lie
    // in both.
    const std::string seam = buffer_ + std::string(bytes.substr(0, mark_.size() - 1));
    if (seam.find(mark_) == std::string::npos) {
      failed_ = content(buffer_);
      const void* found = ::memmem(bytes.data(), bytes.size(), mark_.data(), mark_.size());
      const std::size_t plain = found == nullptr
                                    ? bytes.size() - (mark_.size() - 1)
                                    : static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
      if (failed_.ok()) failed_ = content(bytes.substr(0, plain));
      buffer_.clear();
      bytes.remove_prefix(plain);
    }
  }
  buffer_.append(bytes);
  std::size_t from = 0;
  while (failed_.ok()) {
    const std::string_view rest = std::string_view(buffer_).substr(from);
    if (at_ == At::kPart) {
      const std::size_t found = rest.find(mark_);
      if (found == std::string_view::npos) {
        // The start of a mark may be at the end.
        const std::size_t keep = std::min(rest.size(), mark_.size() - 1);
        failed_ = content(rest.substr(0, rest.size() - keep));
        from += rest.size() - keep;
        break;
      }
      failed_ = content(rest.substr(0, found));
      if (failed_.ok()) failed_ = end_part();
      from += found + mark_.size();
      at_ = At::kMark;
    } else if (at_ == At::kMark) {
      if (rest.size() < 2) break;
      if (rest.starts_with("--")) {
        at_ = At::kEnd;
        break;
      }
      if (!rest.starts_with("\r\n")) {
        failed_ = fail(Code::kInvalidArgument, "The body is not the multipart that its head says.");
      }
      from += 2;
      at_ = At::kHead;
    } else {
      const std::size_t found = rest.starts_with("\r\n") ? 0 : rest.find("\r\n\r\n");
      if (found == std::string_view::npos && rest.size() <= kHeadBytesMax) break;
      if (found == std::string_view::npos || found > kHeadBytesMax) {
        failed_ = fail(Code::kInvalidArgument, "The head of a part is longer than 16 KiB.");
        break;
      }
      failed_ = head(rest.substr(0, found));
      from += found + (found == 0 ? 2 : 4);
      at_ = At::kPart;
    }
    if (!failed_.ok()) break;
  }
  buffer_.erase(0, from);
  if (!failed_.ok() || at_ == At::kEnd) {
    buffer_ = std::string();
    part_.reset();
    out_.reset();
  }
  return failed_;
}

Status MultipartReader::head(std::string_view text) {
  if (parts_.size() >= kPartsMax)
    return fail(Code::kInvalidArgument, fmt::format("More than {} parts were sent.", kPartsMax));
  part_.emplace();
  while (!text.empty()) {
    const std::size_t end = std::min(text.find("\r\n"), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 2, text.size()));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !same(trimmed(line.substr(0, colon)), "content-disposition")) continue;
    const std::string_view value = line.substr(colon + 1);
    part_->name = parameter(value, "name").value_or("");
    part_->file_name = parameter(value, "filename");
    if (const auto extended = parameter(value, "filename*")) {
      const std::size_t quote = extended->rfind('\'');
      part_->file_name =
          percent_decoded(std::string_view(*extended).substr(quote == std::string::npos ? 0 : quote + 1));
    }
  }
  if (!part_->file_name || files_ == nullptr) return {};
  static std::atomic<std::uint64_t> number{0};
  part_->file =
      std::make_shared<SpooledFile>(*files_, fmt::format("{}/.upload-{}-{}", directory_, ::getpid(), number++), quota_);
  DREY_TRY_ASSIGN(out_, files_->create(part_->file->path()));
  return {};
}

Status MultipartReader::content(std::string_view bytes) {
  if (!part_ || bytes.empty()) return {};
  part_->bytes += bytes.size();
  if (part_->file_name) {
    if (out_ == nullptr) return {};
    DREY_TRY(part_->file->grow(bytes.size()));
    return out_->append(bytes);
  }
  if (part_->text.size() + bytes.size() > kTextBytesMax)
    return fail(Code::kInvalidArgument, fmt::format("The part {} is longer than 1 MiB.", part_->name));
  part_->text.append(bytes);
  return {};
}

Status MultipartReader::end_part() {
  if (!part_) return {};
  if (out_ != nullptr) {
    DREY_TRY(out_->close());
    out_.reset();
  }
  parts_.push_back(std::move(*part_));
  part_.reset();
  return {};
}

}  // namespace drey::net
