-- Version 2: whether boots were watched from outside of the guest.

-- 'witness', or 'none'; NULL where nothing was booted, or before this version.
ALTER TABLE submissions ADD COLUMN attestation TEXT;
