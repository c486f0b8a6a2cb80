using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Artifacts;

/// <summary>An artifact to attach.</summary>
/// <param name="Content">Seekable; null for one that is kept elsewhere.</param>
internal sealed record NewArtifact(byte[] Sha256, string MediaType, string? Name, long? Size, string? Uri, string? Note, FileStream? Content);

/// <summary>The files of one request, received whole before anything is stored; they vanish with it.</summary>
/// <param name="Files">In the order they were sent.</param>
/// <param name="Digest">SHA-256 over what was sent, whatever the boundary between the parts: the same files again are the same request.</param>
internal sealed record ReceivedFiles(IReadOnlyList<NewArtifact> Files, byte[] Digest) : IAsyncDisposable
{
    public async ValueTask DisposeAsync()
    {
        foreach (var file in Files)
        {
            if (file.Content is { } content)
            {
                await content.DisposeAsync();
            }
        }
    }
}

/// <summary>Reads <c>multipart/form-data</c> (RFC 7578): files, and a field <c>note</c> that belongs to all of them. Memory does not depend on their size.</summary>
internal sealed class ArtifactUpload(IOptions<ArtifactOptions> options, IOptions<ImportOptions> imports)
{
    public const int MaxFiles = 10;
    private const int MaxParts = MaxFiles + 1;
    private const int MaxHeaders = 16;
    private const int MaxHeaderBytes = 8 << 10;
    private const int MaxBoundary = 200;
    private const int BufferBytes = 64 << 10;

    private readonly ReportsInHand _inHand = new(options.Value.ConcurrentUploads, Math.Max(1, options.Value.ConcurrentUploads / 2));

    /// <exception cref="RefusedException">What was sent is not taken; nothing of it is kept.</exception>
    public async Task<ReceivedFiles> ReceiveAsync(HttpContext http, string tenant, CancellationToken cancellation)
    {
        http.Response.RegisterForDispose(_inHand.TryEnter(tenant)
            ?? throw Refused(ProblemCodes.Overloaded.Code, "Too many artifacts are being sent; send these again in a moment."));
        List<NewArtifact> files = [];
        try
        {
            var received = await ReadAsync(http.Request, files, cancellation);
            http.Response.RegisterForDisposeAsync(received);
            return received;
        }
        catch
        {
            await new ReceivedFiles(files, []).DisposeAsync();
            throw;
        }
    }

    private async Task<ReceivedFiles> ReadAsync(HttpRequest request, List<NewArtifact> files, CancellationToken cancellation)
    {
        var reader = new MultipartReader(Boundary(request), request.Body) { HeadersCountLimit = MaxHeaders, HeadersLengthLimit = MaxHeaderBytes };
        string? note = null;
        for (var part = 0; await NextAsync(reader, cancellation) is { } section; part++)
        {
            var pointer = string.Create(CultureInfo.InvariantCulture, $"/parts/{part}");
            if (part == MaxParts)
            {
                throw Malformed($"At most {MaxFiles} files and a note are taken at once.", pointer, "is one too many");
            }

            var disposition = Disposition(section, pointer);
            if (disposition.IsFileDisposition())
            {
                files.Add(await FileAsync(section, disposition, pointer, cancellation));
            }
            else if (note is null && HeaderUtilities.RemoveQuotes(disposition.Name).Equals("note", StringComparison.Ordinal))
            {
                note = await NoteAsync(section, pointer, cancellation);
            }
            else
            {
                throw Malformed("A part is neither a file nor the note.", pointer, "must have a filename, or be the one field named note");
            }
        }

        if (files.Count is 0 or > MaxFiles)
        {
            throw Malformed(files.Count == 0 ? "There must be files." : $"At most {MaxFiles} files are taken at once.", "/parts", $"must have 1 to {MaxFiles} files");
        }

        for (var i = 0; i < files.Count; i++)
        {
            files[i] = files[i] with { Note = note };
        }

        return new ReceivedFiles(files, DigestOf(files, note));
    }

    private static string Boundary(HttpRequest request)
    {
        var boundary = MediaTypeHeaderValue.TryParse(request.ContentType, out var type) ? HeaderUtilities.RemoveQuotes(type.Boundary) : default;
        return boundary is { HasValue: true, Length: > 0 and <= MaxBoundary, Value: { } named }
            ? named
            : throw new RefusedException(new Refusal(
                ArtifactProblems.Malformed, "multipart/form-data needs a boundary.", [FieldError.Header("Content-Type", $"must have a boundary of 1 to {MaxBoundary} characters")]));
    }

    private static async Task<MultipartSection?> NextAsync(MultipartReader reader, CancellationToken cancellation)
    {
        try
        {
            return await reader.ReadNextSectionAsync(cancellation);
        }
        catch (Exception broken) when (broken is InvalidDataException or (IOException and not BadHttpRequestException))
        {
            throw Malformed("The parts cannot be told apart.", "/parts", "must end with the closing boundary, and have a few short headers each");
        }
    }

    private static ContentDispositionHeaderValue Disposition(MultipartSection section, string pointer)
    {
        if (!ContentDispositionHeaderValue.TryParse(section.ContentDisposition, out var disposition) || !disposition.DispositionType.Equals("form-data", StringComparison.OrdinalIgnoreCase))
        {
            throw Malformed("A part does not say what it is.", pointer, "must have Content-Disposition: form-data");
        }

        if (section.ContentType?.StartsWith("multipart/", StringComparison.OrdinalIgnoreCase) == true)
        {
            throw Malformed("Parts within parts are not taken.", pointer, "must not be multipart itself");
        }

        // RFC 7578 section 4.7: deprecated. Taken as it stands, encoded content would have another digest than the file.
        return section.Headers?.ContainsKey("Content-Transfer-Encoding") == true && section.Headers["Content-Transfer-Encoding"] is not ["binary" or "8bit" or "7bit"]
            ? throw Malformed("A part is encoded.", pointer, "must not have a Content-Transfer-Encoding other than binary")
            : disposition;
    }

    private static async Task<string> NoteAsync(MultipartSection section, string pointer, CancellationToken cancellation)
    {
        // A character has at most three bytes for each UTF-16 unit.
        var buffer = new byte[(ArtifactRules.NoteLength * 3) + 1];
        var length = 0;
        while (length < buffer.Length && await ReadAsync(section, buffer.AsMemory(length), cancellation) is > 0 and var read)
        {
            length += read;
        }

        string note;
        try
        {
            note = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(buffer, 0, length);
        }
        catch (DecoderFallbackException)
        {
            throw Malformed("The note is not UTF-8.", pointer, "must be UTF-8");
        }

        return ArtifactRules.IsNote(note) ? note : throw Malformed("The note is not valid.", pointer, ArtifactRules.NoteReason);
    }

    private async Task<NewArtifact> FileAsync(MultipartSection section, ContentDispositionHeaderValue disposition, string pointer, CancellationToken cancellation)
    {
        var limit = options.Value.MaxArtifactBytes;
        var file = SpoolFile.Create(imports.Value.SpoolDirectory, "artifact");
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var head = new byte[MediaTypes.HeadBytes];
            var buffer = new byte[BufferBytes];
            long size = 0;
            while (await ReadAsync(section, buffer, cancellation) is > 0 and var read)
            {
                if (size < head.Length)
                {
                    buffer.AsSpan(0, Math.Min(read, head.Length - (int)size)).CopyTo(head.AsSpan((int)size));
                }

                size += read;
                if (size > limit)
                {
                    throw new RefusedException(new Refusal(ArtifactProblems.TooLarge, $"An artifact has at most {limit} bytes.", [new FieldError(pointer, $"must have at most {limit} bytes")]));
                }

                hash.AppendData(buffer, 0, read);
                await file.WriteAsync(buffer.AsMemory(0, read), cancellation);
            }

            if (size == 0)
            {
                throw Malformed("A file is empty.", pointer, "must not be empty");
            }

            var (type, refusal) = MediaTypes.Judge(section.ContentType, head.AsSpan(0, (int)Math.Min(size, head.Length)), pointer);
            return type is null
                ? throw new RefusedException(refusal ?? throw new InvalidOperationException("A refused type has a reason."))
                : new NewArtifact(hash.GetHashAndReset(), type, ArtifactRules.FileName(disposition.FileNameStar.HasValue ? disposition.FileNameStar.Value : HeaderUtilities.RemoveQuotes(disposition.FileName).Value), size, Uri: null, Note: null, file);
        }
        catch
        {
            await file.DisposeAsync();
            throw;
        }
    }

    private static async ValueTask<int> ReadAsync(MultipartSection section, Memory<byte> buffer, CancellationToken cancellation)
    {
        try
        {
            return await section.Body.ReadAsync(buffer, cancellation);
        }
        catch (IOException cut) when (cut is not BadHttpRequestException)
        {
            throw Malformed("The upload ends too early.", "/parts", "must end with the closing boundary");
        }
    }

    private static byte[] DigestOf(IReadOnlyList<NewArtifact> files, string? note)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var file in files)
        {
            hash.AppendData(file.Sha256);
            Append(file.MediaType);
            Append(file.Name);
        }

        Append(note);
        return hash.GetHashAndReset();

        void Append(string? text) => hash.AppendData(SHA256.HashData(Encoding.UTF8.GetBytes(text is null ? "-" : $"+{text}")));
    }

    private static RefusedException Refused(string code, string detail) => new(new Refusal(code, detail));

    private static RefusedException Malformed(string detail, string pointer, string reason) => new(new Refusal(ArtifactProblems.Malformed, detail, [new FieldError(pointer, reason)]));
}
