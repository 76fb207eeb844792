// RequestReader: from the bytes of a connection to requests: all of the server that reads what
// strangers send, without a socket in it.
//
// What can be understood in two ways is refused, never guessed: Content-Length beside
// Transfer-Encoding, a Transfer-Encoding other than `chunked`, folded headers, bare LF, two Hosts.
// Bounds: those of HttpServerOptions and of http.h. Threading: one owner.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "net/http.h"

namespace drey::net {

class RequestReader {
 public:
  // `options` outlives it.
  RequestReader(const HttpServerOptions& options, std::string peer);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  enum class Next {
    kRead,      // wants more bytes: room() and came()
    kContinue,  // the sender waits for `100 Continue` before it sends the body
    kRequest,   // take()
    kRefused,   // refusal(); nothing behind it may be read as a request
  };
  // Goes on with what has come. REQUIRES: what it said last was done; not called after kRefused.
  Next next();
  // Where bytes that come go.
  std::span<char> room();
  void came(std::size_t bytes);
  // The request; the reader is at the next one's head then.
  HttpRequest take();
  HttpResponse refusal();
  // Refuses whatever is being read, e.g. because it took too long.
  Next refuse(int status, std::string_view why);

  // Nothing of a request is there.
  bool is_idle() const;
  // The head is read, the body is not.
  bool in_body() const;
  // Of the request being read, or taken last.
  bool is_multipart() const;
  bool head_only() const;
  bool keep_alive() const;
  bool takes_gzip() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// {"errors":["text"]}; `text` needs no escapes.
std::string error_body(std::string_view text);

}  // namespace drey::net
