// JsonWriter: each row as a JSON object on a line; values as append_json() has them. Threading: one owner.
#pragma once

#include <string>
#include <vector>

#include "formats/format.h"

namespace drey::formats {

class JsonWriter final : public RowWriter {
 public:
  JsonWriter(const data::Schema& schema, const FormatOptions& options);
  void append(const data::RowBatch& batch, std::uint32_t row, std::string& out) override;

 private:
  const data::Schema& schema_;
  TimeFormat times_;
  std::vector<std::string> before_;  // what stands before each value: {"a": or ,"b":
};

}  // namespace drey::formats
