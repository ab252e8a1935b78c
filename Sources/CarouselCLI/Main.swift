import ArgumentParser

@main
struct CarouselProgram: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "carousel")
}
