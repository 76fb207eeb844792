// PosixNetwork: frames over TCP. The loops handed in must be PosixLoops.
#pragma once

#include "env/network.h"

namespace drey::env {

class PosixNetwork final : public Network {
 public:
  Result<std::unique_ptr<Listener>> listen(Loop& loop, const std::string& host, std::uint16_t port,
                                           std::function<void(ConnectionRef)> on_accept) override;
  void connect(Loop& loop, const std::string& host, std::uint16_t port, Nanos timeout,
               std::function<void(Result<ConnectionRef>)> done) override;
  Result<std::unique_ptr<ByteStream>> open_stream(const std::string& host, std::uint16_t port) override;
  std::uint64_t frames_refused() const override;
};

}  // namespace drey::env
