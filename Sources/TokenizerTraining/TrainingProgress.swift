// A long job says where it is, and asks whether it shall go on, through one function.

/// How far a training has come.
public enum TrainingProgress: Sendable, Equatable {
  /// Bytes of the files that have been read and cut into words.
  case reading(bytes: Int, of: Int)
  /// Tokens of the vocabulary that have been found.
  case merging(tokens: Int, of: Int)
  /// Passes over the words that have been made, of about so many; the pieces that are still considered.
  case estimating(pass: Int, of: Int, pieces: Int)
}

/// Takes notice of progress, and throws to stop the training; called by one thread at a time.
public typealias TrainingObserver = @Sendable (TrainingProgress) throws -> Void
