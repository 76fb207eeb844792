// JsonWriter: each row as a JSON object on a line. Threading: one owner.
#pragma once

#include "formats/format.h"

namespace drey::formats {

class JsonWriter final : public RowWriter {
 public:
  explicit JsonWriter(const data::Schema& schema) : schema_(schema) {}
  void append(const data::RowBatch& batch, std::uint32_t row, std::string& out) override;

 private:
  const data::Schema& schema_;
  std::string value_;
};

}  // namespace drey::formats
