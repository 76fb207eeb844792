#include "cluster/job_store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

constexpr int kFormat = 4;

Result<StoredJob> decoded(std::string_view row) {
  auto job = wire::decode<StoredJob>(row);
  if (!job.ok()) return fail(Code::kCorrupt, "The job store holds a job that cannot be read");
  return job;
}

Status not_stored(JobId id) {
  return fail(Code::kNotFound, fmt::format("The job store holds no job {}", id.to_string()));
}

// A column as bytes; they live until the next step.
std::string_view bytes_of(sqlite3_stmt* row, int column) {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(row, column));
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(row, column))};
}

class SqliteStore final : public JobStore {
 public:
  explicit SqliteStore(sqlite3* db) : db_(db) {}
  ~SqliteStore() override { sqlite3_close(db_); }

  Status run(const char* sql) {
    char* message = nullptr;
    if (sqlite3_exec(db_, sql, nullptr, nullptr, &message) == SQLITE_OK) return {};
    const std::string text = message != nullptr ? message : sqlite3_errmsg(db_);
    sqlite3_free(message);
    return failure(text);
  }

  Status prepare() {
    DREY_TRY(run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000;"));
    int version = 0;
    DREY_TRY(query("PRAGMA user_version", [&](sqlite3_stmt* row) { version = sqlite3_column_int(row, 0); }));
    if (version > kFormat) {
      return fail(
          Code::kIncompatible,
          fmt::format("The job store has format {}, this Drey knows {}: use the newer version", version, kFormat));
    }
    if (version != 0 && version < kFormat) {
      return fail(
          Code::kIncompatible,
          fmt::format("The job store has format {}, this Drey knows {}: end its jobs with the version that wrote it, "
                      "then remove it",
                      version, kFormat));
    }
    const std::string create = fmt::format(
        "BEGIN; CREATE TABLE IF NOT EXISTS jobs(id TEXT PRIMARY KEY, job BLOB NOT NULL);"
        "CREATE TABLE IF NOT EXISTS operations(id TEXT PRIMARY KEY, operation BLOB NOT NULL);"
        "PRAGMA user_version={}; COMMIT;",
        kFormat);
    return run(create.c_str());
  }

  // INSERT or UPDATE of a row (id, blob).
  Status put_row(const char* sql, const std::string& id, const std::string& bytes) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr) != SQLITE_OK) return failure(sqlite3_errmsg(db_));
    sqlite3_bind_text(statement, 1, id.data(), static_cast<int>(id.size()), SQLITE_STATIC);
    sqlite3_bind_blob64(statement, 2, bytes.data(), bytes.size(), SQLITE_STATIC);
    const int result = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return result == SQLITE_DONE ? Status() : failure(sqlite3_errmsg(db_));
  }

  Status put(const StoredJob& job) override {
    return put_row("INSERT INTO jobs(id, job) VALUES(?,?) ON CONFLICT(id) DO UPDATE SET job=excluded.job",
                   job.id.to_string(), wire::encode(job));
  }

  Status each(const std::function<void(StoredJob)>& visit) override {
    Status unreadable;
    DREY_TRY(query("SELECT job FROM jobs", [&](sqlite3_stmt* row) {
      auto job = decoded(bytes_of(row, 0));
      if (job.ok()) {
        visit(std::move(*job));
      } else {
        unreadable = job.status();
      }
    }));
    return unreadable;
  }

  Result<StoredJob> get(JobId id) override {
    Result<StoredJob> job = not_stored(id);
    DREY_TRY(query(fmt::format("SELECT job FROM jobs WHERE id='{}'", id.to_string()).c_str(),
                   [&](sqlite3_stmt* row) { job = decoded(bytes_of(row, 0)); }));
    return job;
  }

  Status remove(JobId id) override {
    return run(fmt::format("DELETE FROM jobs WHERE id='{}'", id.to_string()).c_str());
  }

  Status put_operation(const std::string& key, const std::string& operation) override {
    return put_row(
        "INSERT INTO operations(id, operation) VALUES(?,?) ON CONFLICT(id) DO UPDATE SET operation=excluded.operation",
        key, operation);
  }
  Result<std::vector<std::pair<std::string, std::string>>> load_operations() override {
    std::vector<std::pair<std::string, std::string>> rows;
    DREY_TRY(query("SELECT id, operation FROM operations",
                   [&](sqlite3_stmt* row) { rows.emplace_back(bytes_of(row, 0), bytes_of(row, 1)); }));
    return rows;
  }
  // Keys are ours: digits and slashes.
  Status remove_operation(const std::string& key) override {
    return run(fmt::format("DELETE FROM operations WHERE id='{}'", key).c_str());
  }

 private:
  template <typename Visit>
  Status query(const char* sql, Visit&& visit) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr) != SQLITE_OK) return failure(sqlite3_errmsg(db_));
    int result = sqlite3_step(statement);
    for (; result == SQLITE_ROW; result = sqlite3_step(statement)) visit(statement);
    sqlite3_finalize(statement);
    return result == SQLITE_DONE ? Status() : failure(sqlite3_errmsg(db_));
  }
  Status failure(std::string_view text) {
    const int code = sqlite3_errcode(db_);
    if (code == SQLITE_FULL)
      return fail(Code::kResourceExhausted, fmt::format("The job store's disk is full: {}", text));
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
      return fail(Code::kCorrupt, fmt::format("The job store is damaged: {}", text));
    return fail(Code::kIo, fmt::format("The job store cannot be used: {}", text));
  }
  sqlite3* db_;
};

class MemoryStore final : public JobStore {
 public:
  explicit MemoryStore(std::shared_ptr<StoreMemory> memory) : memory_(std::move(memory)) {}
  Status put(const StoredJob& job) override {
    memory_->jobs[job.id] = wire::encode(job);
    return {};
  }
  Status each(const std::function<void(StoredJob)>& visit) override {
    for (const auto& [id, bytes] : memory_->jobs) {
      DREY_TRY_ASSIGN(StoredJob job, decoded(bytes));
      visit(std::move(job));
    }
    return {};
  }
  Result<StoredJob> get(JobId id) override {
    const auto found = memory_->jobs.find(id);
    return found == memory_->jobs.end() ? not_stored(id) : decoded(found->second);
  }
  Status remove(JobId id) override {
    memory_->jobs.erase(id);
    return {};
  }
  Status put_operation(const std::string& key, const std::string& operation) override {
    memory_->operations[key] = operation;
    return {};
  }
  Result<std::vector<std::pair<std::string, std::string>>> load_operations() override {
    return std::vector<std::pair<std::string, std::string>>(memory_->operations.begin(), memory_->operations.end());
  }
  Status remove_operation(const std::string& key) override {
    memory_->operations.erase(key);
    return {};
  }

 private:
  std::shared_ptr<StoreMemory> memory_;
};

}  // namespace

Result<std::unique_ptr<JobStore>> open_sqlite_store(const std::string& path) {
  sqlite3* db = nullptr;
  const int result =
      sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr);
  auto store = std::make_unique<SqliteStore>(db);
  if (result != SQLITE_OK)
    return fail(Code::kIo, fmt::format("Cannot open the job store: path={}, {}", path, sqlite3_errmsg(db)));
  DREY_TRY(store->prepare().with_context("path=" + path));
  return std::unique_ptr<JobStore>(std::move(store));
}

std::unique_ptr<JobStore> make_memory_store(std::shared_ptr<StoreMemory> memory) {
  return std::make_unique<MemoryStore>(std::move(memory));
}

}  // namespace drey::cluster
