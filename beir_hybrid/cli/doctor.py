"""The command that examines the machine and the installation."""

from dataclasses import asdict

from beir_hybrid.cli.printing import Json, echo, print_json, print_table


def doctor(as_json: Json = False) -> None:
    """Show versions, processor, matrix libraries, Java, cache and extras, with advice.

    Example: `beir-hybrid doctor`
    """
    from beir_hybrid.extras.doctor import examine

    findings = examine()
    if as_json:
        print_json([asdict(finding) for finding in findings])
        return
    print_table([], [[finding.subject, finding.value] for finding in findings])
    for finding in findings:
        if finding.advice:
            echo(f"{finding.subject}: {finding.advice}")
