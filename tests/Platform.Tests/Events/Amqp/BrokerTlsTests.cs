using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Amqp;
using Amqp.Listener;

namespace Wave16.Platform.Tests.Events.Amqp;

/// <summary>TLS with a broker whose certificate is from an authority of the tests' own: in processes, because trust is a process's.</summary>
public sealed class BrokerTlsTests
{
    private const string Refusal = "no TLS with the broker: its certificate is not trusted, or it speaks none";

    private static readonly DateTimeOffset From = TimeProvider.System.GetUtcNow().AddDays(-1);
    private static readonly DateTimeOffset Until = From.AddDays(2);

    [Fact]
    public async Task A_broker_is_let_in_when_its_authority_is_trusted_and_its_name_is_the_one_that_was_dialled()
    {
        using var authority = Authority();
        using var certificate = CertificateFor("localhost", authority);
        using var broker = Listening(certificate, out var port);
        using var trust = new Trust(authority);

        Assert.Equal("open", await SaidAsync("localhost", port, trust));
        Assert.Equal(Refusal, await SaidAsync("127.0.0.1", port, trust));
    }

    [Fact]
    public async Task A_broker_whose_authority_nobody_trusts_is_refused()
    {
        using var authority = Authority();
        using var certificate = CertificateFor("localhost", authority);
        using var broker = Listening(certificate, out var port);
        using var another = Authority();
        using var trust = new Trust(another);

        Assert.Equal(Refusal, await SaidAsync("localhost", port, trust));
    }

    private static async Task<string> SaidAsync(string host, int port, Trust trust)
    {
        await using var process = await HostProcess.StartAsync(["tls", host, port.ToString(CultureInfo.InvariantCulture)], ("SSL_CERT_FILE", trust.File), ("SSL_CERT_DIR", trust.Folder));
        return await process.NextAsync();
    }

    private static Listener Listening(X509Certificate2 certificate, out int port)
    {
        using (var free = new TcpListener(IPAddress.Loopback, 0))
        {
            free.Start();
            port = ((IPEndPoint)free.LocalEndpoint).Port;
        }

        var host = new ContainerHost(new Address("localhost", port, null, null, "/", "AMQPS"));
        host.Listeners[0].SSL.Certificate = certificate;
        host.Listeners[0].SASL.EnableAnonymousMechanism = true;
        host.Open();
        return new Listener(host);
    }

    private static X509Certificate2 Authority()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=Authority of the tests", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, true));
        return request.CreateSelfSigned(From, Until);
    }

    private static X509Certificate2 CertificateFor(string name, X509Certificate2 authority)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        request.CertificateExtensions.Add(names.Build());
        using var signed = request.Create(authority, From, Until, RandomNumberGenerator.GetBytes(8));
        return signed.CopyWithPrivateKey(key);
    }

    private sealed class Listener(ContainerHost host) : IDisposable
    {
        public void Dispose() => host.Close();
    }

    /// <summary>The only authority that a process with these variables of OpenSSL's trusts.</summary>
    private sealed class Trust : IDisposable
    {
        public Trust(X509Certificate2 authority) => System.IO.File.WriteAllText(File, authority.ExportCertificatePem());

        public string Folder { get; } = Directory.CreateTempSubdirectory("wave16-trust-").FullName;

        public string File => Path.Combine(Folder, "authority.pem");

        public void Dispose() => Directory.Delete(Folder, recursive: true);
    }
}
