// The directory of a complete checkpoint or savepoint: its _metadata and what that names.
//
//   _metadata := "DREYCP2\n", size u64, checksum u64 (XXH3 of the payload), payload
//   payload := wire encoding of control::Checkpoint
//
// In a savepoint every file is named without its directory: all of them lie beside _metadata, so that the directory may
// be moved. _metadata is renamed into its place when everything it names is durable: it is there or the snapshot is
// not. Threading: any thread.
#pragma once

#include <string>

#include "control/checkpoint/coordinator.h"
#include "env/file_system.h"

namespace drey::cluster {

// "file:///a/b", "file:/a/b" and "/a/b" are one directory. FAILS WITH: kInvalidArgument for anything else.
Result<std::string> local_directory(std::string path);

// Writes the _metadata of checkpoint.path and says how long it is, in bytes.
Result<std::int64_t> write_metadata(env::FileSystem& files, const control::Checkpoint& checkpoint);

// By its directory or its _metadata file; paths are those of now. FAILS WITH: kNotFound, kCorrupt, kIncompatible.
Result<control::Checkpoint> read_checkpoint(env::FileSystem& files, const std::string& path);

// Deletes the files that a savepoint or a retained checkpoint names, its _metadata, and the directory when nothing else
// is in it. FAILS WITH: as read_checkpoint, having deleted nothing.
Status dispose(env::FileSystem& files, const std::string& path);

}  // namespace drey::cluster
