// Messages between the processes of a cluster: refused, or one that encodes to what it came from.
#include "control/messages.h"
#include "fuzz.h"
#include "wire/binary/codec.h"

namespace drey::control {
namespace {

template <typename Message>
void check(std::string_view bytes) {
  const auto message = wire::decode<Message>(bytes);
  if (!message.ok()) return;
  const std::string once = wire::encode(*message);
  const auto again = wire::decode<Message>(once);
  fuzz::expect(again.ok() && wire::encode(*again) == once, "a message comes back as it was");
  if constexpr (std::is_same_v<Message, ToJobManager>) {
    fuzz::planted(std::holds_alternative<EndOfData>(*message));
  }
}

}  // namespace
}  // namespace drey::control

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = drey::fuzz::text(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    drey::control::check<drey::control::ToJobManager>(bytes);
  } else {
    drey::control::check<drey::control::ToTaskManager>(bytes);
  }
  return 0;
}
