// JSON that comes from outside: refused, or a value that prints as JSON which reads back the same.
#include "fuzz.h"
#include "wire/json/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using drey::wire::Json;
  const auto value = Json::parse(drey::fuzz::text(data, size));
  if (!value.ok()) return 0;
  const std::string printed = value->to_string();
  const auto again = Json::parse(printed);
  drey::fuzz::expect(again.ok(), "what is printed can be read");
  drey::fuzz::expect(again->to_string() == printed, "what is read back prints the same");
  static_cast<void>(value->whole());
  static_cast<void>(value->real());
  static_cast<void>(value->boolean());
  // The corpus has a list of four.
  drey::fuzz::planted(value->is_array() && value->elements().size() == 2);
  return 0;
}
