public import MailModel
public import PipelineConfig

/// What a stage instance is told when it is made.
public struct StageSetup: Sendable, Equatable {
  /// The id in pipeline.yaml.
  public var instanceID: String
  /// `node:` of pipeline.yaml.
  public var nodeName: String
  /// A directory of the instance's own; made when it is missing, with its parents, for nobody else to read.
  public var stateDirectory: String
  /// Validated, with defaults filled in.
  public var config: ConfigValue
  /// Octets of the largest content that will be taken.
  public var contentOctetsMax: UInt64
  /// Recipients of one message.
  public var recipientsMax: Int
  /// Seconds that a stopping instance may take to finish what is open.
  public var stopSeconds: Double
  /// Make the instance and destroy it again, for its complaints about the configuration.
  public var isCheckOnly: Bool

  public init(
    instanceID: String, nodeName: String, stateDirectory: String, config: ConfigValue, contentOctetsMax: UInt64,
    recipientsMax: Int = Limits.recipientsMax, stopSeconds: Double = 5, isCheckOnly: Bool = false
  ) {
    self.instanceID = instanceID
    self.nodeName = nodeName
    self.stateDirectory = stateDirectory
    self.config = config
    self.contentOctetsMax = contentOctetsMax
    self.recipientsMax = recipientsMax
    self.stopSeconds = stopSeconds
    self.isCheckOnly = isCheckOnly
  }
}

extension WireWriter {
  mutating func write(_ setup: StageSetup) {
    write(setup.instanceID)
    write(setup.nodeName)
    write(setup.stateDirectory)
    write(setup.config.encoded())
    write(setup.contentOctetsMax)
    write(UInt64(setup.recipientsMax))
    write(setup.stopSeconds.bitPattern)
    write(setup.isCheckOnly)
  }
}

extension WireReader {
  mutating func readStageSetup() throws(WireCodingError) -> StageSetup {
    let instanceID = try readString()
    let nodeName = try readString()
    let stateDirectory = try readString()
    let config = try ConfigValue(encoded: try readOctets())
    let contentOctetsMax = try read(UInt64.self)
    let recipientsMax = try read(UInt64.self)
    let stopSeconds = Double(bitPattern: try read(UInt64.self))
    guard stopSeconds.isFinite, stopSeconds >= 0 else { throw .invalid("stop deadline") }
    return StageSetup(
      instanceID: instanceID, nodeName: nodeName, stateDirectory: stateDirectory, config: config,
      contentOctetsMax: contentOctetsMax, recipientsMax: Int(clamping: recipientsMax), stopSeconds: stopSeconds,
      isCheckOnly: try readBool())
  }
}
