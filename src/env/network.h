// Network: ordered connections that carry whole frames, for RPC and for data channels between
// processes; and plain streams from other programs.
//
// Frame on the wire: u32 size, u32 checksum (XXH32 of the payload), payload. A frame that is too
// large or damaged closes the connection with kCorrupt. Threading: everything on the loop that the
// connection belongs to; send() alone may be called from any thread. Lifetime: a loop that goes ends
// its connections; of them only destruction is allowed then. Bounds: frames up to
// frame_bytes_max; send queues without limit, callers bound themselves by credit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"
#include "env/loop.h"

namespace drey::env {

inline constexpr std::uint32_t kFrameBytesMax = 512u << 20;

class Connection {
 public:
  struct Handler {
    std::function<void(std::string_view frame)> on_frame;
    std::function<void(const Status& why)> on_closed = {};  // once; not after close()
    std::function<void()> on_drained = {};                  // a queue that had to wait has gone to the system
  };
  virtual ~Connection() = default;
  // Frames that came before wait for the handler.
  virtual void set_handler(Handler handler) = 0;
  // Calls no handler: a connection that cannot be written to is told closed later, by the loop.
  virtual void send(std::string frame) = 0;
  // Bytes that wait in this process. Any thread.
  virtual std::size_t queued_bytes() const = 0;
  // What is queued is still sent when possible; no handler is called afterwards.
  virtual void close() = 0;
};
using ConnectionRef = std::shared_ptr<Connection>;

class Listener {
 public:
  virtual ~Listener() = default;
  virtual std::uint16_t port() const = 0;
};

// ByteStream: bytes from a server that speaks a protocol of its own. Never blocks. Threading: one owner.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Bytes read; 0: none yet (also while it connects), or the server has closed the connection.
  // FAILS WITH: kUnavailable when nobody listens there; kIo.
  virtual Result<std::size_t> read(char* to, std::size_t bytes_max) = 0;
  virtual bool is_ended() const = 0;
};

class Network {
 public:
  virtual ~Network() = default;
  // Port 0: any free one. FAILS WITH: kUnavailable naming the port that is in use.
  virtual Result<std::unique_ptr<Listener>> listen(Loop& loop, const std::string& host, std::uint16_t port,
                                                   std::function<void(ConnectionRef)> on_accept) = 0;
  virtual void connect(Loop& loop, const std::string& host, std::uint16_t port, Nanos timeout,
                       std::function<void(Result<ConnectionRef>)> done) = 0;
  // FAILS WITH: kInvalidArgument when the host is unknown; what happens later is told by read().
  virtual Result<std::unique_ptr<ByteStream>> open_stream(const std::string& host, std::uint16_t port) = 0;
  // Frames that were too large or damaged, since the start. Any thread.
  virtual std::uint64_t frames_refused() const = 0;
};

}  // namespace drey::env
