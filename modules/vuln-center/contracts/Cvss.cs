namespace Wave16.VulnCenter.Contracts;

/// <summary>Body of <c>POST /cvss</c>.</summary>
/// <param name="Vectors">Up to 200,000; <c>CVSS:4.0/…</c>, <c>CVSS:3.1/…</c>, <c>CVSS:3.0/…</c>, or <c>AV:…</c> without prefix for version 2.0.</param>
public sealed record ScoreVectors(IReadOnlyList<string> Vectors);

/// <summary>One result per vector, in their order.</summary>
public sealed record ScoredVectors(IReadOnlyList<ScoredVector> Results);

/// <summary>What a vector scores, or why it is none: either <paramref name="Error"/> is there, or all of the others.</summary>
/// <param name="Index">From 0, in the request.</param>
/// <param name="Version"><c>4.0</c>, <c>3.1</c>, <c>3.0</c> or <c>2.0</c>. Scores of different versions are not comparable.</param>
/// <param name="Vector">Normalised: in the specification's order, without metrics that are not defined.</param>
/// <param name="Score">0.0 to 10.0; the one of <paramref name="Scores"/> that takes most metrics into account.</param>
/// <param name="Severity">Of <paramref name="Score"/>.</param>
public sealed record ScoredVector(
    int Index, string? Version = null, string? Vector = null, VectorScores? Scores = null, decimal? Score = null, Severity? Severity = null, VectorError? Error = null);

/// <summary>A vector's scores by metric group, each with the groups before it; null where the vector defines no metric of that group.</summary>
/// <param name="Temporal">Versions 2.0 to 3.1.</param>
/// <param name="Threat">Version 4.0.</param>
public sealed record VectorScores(decimal Base, decimal? Temporal = null, decimal? Threat = null, decimal? Environmental = null);

/// <param name="Position">In characters from 0; the vector's length when something is missing at its end.</param>
public sealed record VectorError(int Position, string Reason);
