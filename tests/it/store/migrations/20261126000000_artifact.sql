-- A patch in one piece, and files that were too large.
insert into artifact (task_id, name, content_type, size, digest, left_out, created_at)
values ('01935000-0000-7000-8000-00000000000b', 'changes.patch', 'text/x-diff', 13,
        '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', '', 1700000000000);
insert into artifact_piece (task_id, name, piece, digest, sealed_with, content)
values ('01935000-0000-7000-8000-00000000000b', 'changes.patch', 0,
        '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', 'f545043b3e5ecc9b', :archive);
insert into artifact (task_id, name, content_type, size, digest, left_out, created_at)
values ('01935000-0000-7000-8000-00000000000b', 'files.tar', 'application/x-tar', 0, '', 'too_large', 1700000000000);
